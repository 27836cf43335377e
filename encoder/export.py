"""Encoders for use elsewhere: as a `torch.export` program, TorchScript or ONNX, checked to give the same vectors.

An exported encoder takes `wave` (batch, samples) float32 at the encoder's own sample rate, any number of clips of one
length from `min_s` up and without padding, and gives unit vectors (batch, dim). It does not check its input.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from encoder.checkpoint import load
from encoder.model import Encoder

TOLERANCE = 1e-4
FORMATS = ("pt2", "torchscript", "onnx")


class WaveToVector(nn.Module):
    """An encoder at its own sample rate, for unpadded batches."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder, self.sample_rate_hz = encoder.eval(), encoder.sample_rate_hz

    def forward(self, wave: Tensor) -> Tensor:
        """Embed `wave` (batch, samples) float32 as unit vectors (batch, dim)."""
        lengths = torch.ones(wave.shape[0], dtype=torch.int64, device=wave.device) * wave.shape[1]
        features, n_frames = self.encoder.features(wave, self.sample_rate_hz, lengths)
        frames, n_frames = self.encoder.frames(features, n_frames)
        return self.encoder.embed(frames, n_frames, features)


def export(encoder: Encoder, path: str | Path, kind: str) -> float:
    """Write an encoder for use elsewhere.

    Args:
        encoder: to be exported.
        path: of the file.
        kind: one of FORMATS.

    Returns:
        The largest difference between its vectors and the encoder's.

    Raises:
        ValueError: `kind` is unknown.
        RuntimeError: the vectors differ by more than TOLERANCE.
    """
    if kind not in FORMATS:
        raise ValueError(f"cannot export as {kind!r}; there are {', '.join(FORMATS)}")
    model = WaveToVector(encoder)
    generator = torch.Generator().manual_seed(0)
    example = 0.1 * torch.randn(2, 2 * model.sample_rate_hz, generator=generator)
    with torch.no_grad():
        if kind == "torchscript":
            torch.jit.trace(model, (example,)).save(str(path))
        else:
            shapes = {"wave": {0: torch.export.Dim("batch", max=4096), 1: torch.export.Dim.DYNAMIC}}
            program = torch.export.export(model, (example,), dynamic_shapes=shapes)
            if kind == "pt2":
                torch.export.save(program, str(path))
            else:
                torch.onnx.export(program, dynamo=True, external_data=False, verbose=False).save(str(path))  # type: ignore[union-attr]
    return check(model, path, kind, generator)


def check(model: WaveToVector, path: str | Path, kind: str, generator: torch.Generator) -> float:
    """Return the largest difference on batch sizes and lengths other than those it was exported with.

    Raises:
        RuntimeError: it is above TOLERANCE.
    """
    worst = 0.0
    for batch, seconds in ((1, 1.0), (3, 3.7)):
        wave = 0.1 * torch.randn(batch, round(seconds * model.sample_rate_hz), generator=generator)
        with torch.no_grad():
            difference = model(wave) - embed_with(path, kind, wave)
        worst = max(worst, float(difference.abs().max()))
    if not worst <= TOLERANCE:
        raise RuntimeError(f"the {kind} encoder's vectors differ by {worst:.1e}, more than {TOLERANCE:g}")
    return worst


def embed_with(path: str | Path, kind: str, wave: Tensor) -> Tensor:
    """Embed `wave` (batch, samples) with an exported encoder; returns (batch, dim)."""
    if kind == "torchscript":
        out: Tensor = torch.jit.load(str(path))(wave)
        return out
    if kind == "pt2":
        out = torch.export.load(str(path)).module()(wave)
        return out
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(np.asarray(session.run(None, {"wave": wave.numpy()})[0]))


def main() -> int:
    """Run the command `python -m encoder.export ENCODER OUT {pt2,torchscript,onnx}` and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m encoder.export", description="Export an encoder for use elsewhere."
    )
    parser.add_argument("encoder", help="default, campplus, a folder, or hf://owner/repository")
    parser.add_argument("out", type=Path)
    parser.add_argument("kind", choices=FORMATS)
    arguments = parser.parse_args()
    encoder = load(arguments.encoder)
    if not isinstance(encoder, Encoder):
        parser.error(f"{arguments.encoder} is an exported encoder already")
    worst = export(encoder, arguments.out, arguments.kind)
    print(
        f"{arguments.out}: {arguments.kind}, vectors differ by at most {worst:.1e}; feed it {encoder.sample_rate_hz} Hz"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
