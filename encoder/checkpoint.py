"""Encoders on disk: `config.yaml` (an EncoderConfig), `model.safetensors`, `metrics.json`, `README.md`.

The first two are the model. Nothing is unpickled. `encoder_id` is the preset's name and a hash of configuration
and weights, so that two vectors with the same id come from the same network.
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

from encoder.config import EncoderConfig
from encoder.frontend import resample
from encoder.model import Encoder, validate

DEFAULT = Path(__file__).parent / "default"


class ScriptedEncoder(nn.Module):
    """A TorchScript file with waveform in and vector out, behind the call of `Encoder`.

    The file gets (1, samples) float32 at `sample_rate_hz` and gives (1, dim) or (1, dim, frames), whose mean
    over frames is taken. Clips go one by one, since nothing is known about how it treats padding.
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
        """wave: (batch, samples) float32 -> (batch, dim) unit vectors."""
        lengths = validate(wave, sample_rate_hz, lengths, self.min_s)
        vectors = []
        for clip, length in zip(wave, lengths, strict=True):
            clip, _ = resample(clip[None, :length], length[None], sample_rate_hz, self.sample_rate_hz)
            vector = self.script(clip)
            vectors.append(vector.flatten(2).mean(-1) if vector.ndim > 2 else vector)
        return nn.functional.normalize(torch.cat(vectors).float(), dim=-1)


def load(source: str | Path = "default", sample_rate_hz: int = 44100) -> Encoder | ScriptedEncoder:
    """An encoder ready to embed, in evaluation mode on the CPU.

    source: "default" (the weights that ship here), a folder with config.yaml and model.safetensors, a
    TorchScript file (which hears `sample_rate_hz`), or `hf://owner/repository`.
    """
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


def fetch(source: str) -> Path:
    """Download `hf://owner/repository` (config and weights only) into the local cache."""
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            source.removeprefix("hf://"),
            allow_patterns=["config.yaml", "model.safetensors", "metrics.json", "README.md"],
        )
    )


def save(encoder: Encoder, folder: str | Path, metrics: Mapping[str, object], card: str, half: bool = True) -> str:
    """Write the four files, weights in half precision or full, and give the `encoder_id`.

    The folder appears at once and complete: it is written beside its place and renamed.
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
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.is_floating_point() else tensor


def replace_folder(work: Path, folder: Path) -> None:
    """Rename `work` to `folder`; an earlier folder of that name goes away with the temporary one."""
    if folder.exists():
        os.replace(folder, work.parent / "earlier")
    os.replace(work, folder)


def identity(folder: Path) -> str:
    """`<size>-<hash of configuration and weights>` of an encoder on disk."""
    config = (folder / "config.yaml").read_bytes()
    size = yaml.safe_load(config)["size"]
    return f"{size}-{short_hash(config, (folder / 'model.safetensors').read_bytes())}"


def short_hash(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=4)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
