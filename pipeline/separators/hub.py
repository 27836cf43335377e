"""Find demucs models: on the hubs that demucs knows, under `hf://…`, or in a folder.

Only tensors and three model classes are unpickled: demucs' own loader would run any code that a `.th` file names, while
this one reads the same files with PyTorch's restricted unpickler. A safetensors file names its model class in its
metadata, which demucs would import and call without a check; here it must be one of the three too.
"""

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
import yaml
from demucs.apply import BagOfModels, Model
from demucs.demucs import Demucs as TimeDemucs
from demucs.hdemucs import HDemucs
from demucs.hf import hf_repo_name, load_safetensors_model
from demucs.htdemucs import HTDemucs
from demucs.pretrained import REMOTE_ROOT, _parse_remote_files
from demucs.repo import ModelLoadingError, check_checksum
from demucs.states import load_model
from safetensors import safe_open

from pipeline.store import weights
from pipeline.store.errors import ConfigError

CLASSES = (HTDemucs, HDemucs, TimeDemucs)
NAMESPACE = "adefossez"  # of demucs' authors on the hub


def load_demucs(name: str) -> Model | BagOfModels:
    """Return a demucs model by its name, by `hf://[namespace/]name`, or from a folder (`folder` or `folder/name`).

    A named model is looked for under `store.weights` first, and then on a hub.

    Raises:
        ConfigError: the model is unknown, or its weights are not available; the message says what to do.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _from_folder(folder, _only_model(folder))
    if folder.parent.is_dir() and (os.sep in name or name.startswith(".")):
        return _from_folder(folder.parent, folder.name)
    plain = name.removeprefix("hf://")
    if prepared := weights.prepared(plain):
        return _from_folder(prepared, _only_model(prepared))
    try:
        return _from_hugging_face(plain)
    except ConfigError:
        raise
    except Exception as error:  # the hub's client and its network library raise many kinds
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if not name.startswith("hf://"):
        try:
            return _from_demucs_server(plain)
        except KeyError:
            raise ConfigError(
                f"separate.separator: demucs knows no model {name!r} (it has {', '.join(_known())}), "
                "and there is no such folder"
            ) from None
        except OSError as error:
            reason += f"; then {type(error).__name__}: {error}"
    raise ConfigError(
        f"separate.separator: the weights of {name} are not available here ({reason}). Either let this machine reach "
        "huggingface.co or dl.fbaipublicfiles.com once (they are kept), or copy the model's files to a folder and name "
        "that: separate.separator=/path/to/folder (for the machines of a cluster: store.weights). Or choose the "
        "embedded one: separate.separator=spleeter"
    )


def _known() -> list[str]:
    return sorted(path.stem for path in REMOTE_ROOT.glob("*.yaml"))


def _bag(definition: Path, model: Callable[[str], Model]) -> BagOfModels:
    bag = yaml.safe_load(definition.read_text())
    return BagOfModels([model(signature) for signature in bag["models"]], bag.get("weights"), bag.get("segment"))


def _from_hugging_face(name: str) -> BagOfModels:
    from huggingface_hub import hf_hub_download

    namespace, _, short = name.rpartition("/")
    repo = f"{namespace or NAMESPACE}/{hf_repo_name(short)}"
    return _bag(
        Path(hf_hub_download(repo, f"{short}.yaml")),
        lambda signature: _from_safetensors(hf_hub_download(repo, f"{signature}.safetensors")),
    )


def _from_demucs_server(name: str) -> Model | BagOfModels:
    urls = _parse_remote_files(REMOTE_ROOT / "files.txt")

    def model(signature: str) -> Model:
        url = urls[signature]
        path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.partition("-")[2], progress=False)
        return _from_pickle(path)

    definition = REMOTE_ROOT / f"{name}.yaml"
    return _bag(definition, model) if definition.exists() else model(name)


def _only_model(folder: Path) -> str:
    bags = sorted(path.stem for path in folder.glob("*.yaml"))
    singles = sorted(path.stem.partition("-")[0] for path in folder.iterdir() if path.suffix in (".th", ".safetensors"))
    found = bags or singles
    if len(found) == 1:
        return found[0]
    raise ConfigError(
        f"separate.separator: the folder {folder} holds "
        + (
            f"several models; name one: {', '.join(f'{folder}/{name}' for name in found)}"
            if found
            else "no demucs model (.yaml with .th or .safetensors files, as demucs' --repo reads them)"
        )
    )


def _from_folder(folder: Path, name: str) -> Model | BagOfModels:
    def model(signature: str) -> Model:
        found = sorted({*folder.glob(f"{signature}.*"), *folder.glob(f"{signature}-*")} - {*folder.glob("*.yaml")})
        if len(found) != 1:
            raise ConfigError(
                f"separate.separator: {folder} should hold one file {signature}.th or "
                f"{signature}.safetensors, but holds {len(found)}"
            )
        path = found[0]
        if path.suffix == ".safetensors":
            return _from_safetensors(path)
        if "-" in path.stem:
            try:
                check_checksum(path, path.stem.partition("-")[2])
            except ModelLoadingError as error:
                raise ConfigError(f"separate.separator: {error}; copy the file again") from error
        return _from_pickle(path)

    definition = folder / f"{name}.yaml"
    return _bag(definition, model) if definition.exists() else model(name)


def _from_pickle(path: Path) -> Model:
    allowed: list[Any] = [*CLASSES, Fraction]
    with torch.serialization.safe_globals(allowed):
        try:
            package = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ConfigError(
                f"separate.separator: {path} is not a demucs model that can be read safely "
                f"({str(error).splitlines()[0]})"
            ) from error
    return load_model(package)


def _from_safetensors(path: str | Path) -> Model:
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
    names = {f"{known.__module__}.{known.__name__}" for known in CLASSES}
    classes = {metadata.get("klass"), *_classes_in(json.loads(metadata.get("structure", "{}")))}
    if not classes <= names:
        raise ConfigError(
            f"separate.separator: {path} is not a demucs model: it names {', '.join(sorted(map(str, classes - names)))}"
        )
    return load_safetensors_model(path)


def _classes_in(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["_class"]} if "_class" in node else set()
        return own.union(*map(_classes_in, node.values())) if node else own
    return set().union(*map(_classes_in, node)) if isinstance(node, list) else set()
