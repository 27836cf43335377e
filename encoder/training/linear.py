"""A linear map after the head: what was learned from a catalogue without labels, as an encoder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch

from encoder import checkpoint
from encoder.model import Encoder

CARD = """# {encoder_id}

`{start}` with a linear map after its head, learned from a catalogue without labels (`train.method: linear`). Everything
else, including its speed, is as described on the card of `{start}`.

```python
import encoder
model = encoder.load("path/of/this/folder")
vectors = model(wave, sample_rate_hz)      # wave: (batch, samples) float32 -> (batch, {dim})
```

- **Learned from**: how clips differ within a track ({clips} degrees of freedom), and tracks within {groups} groups of
  the catalogue's likeliest partition into vocalists ({tracks} degrees of freedom). {supervision} The terms of those
  recordings apply, and those of `{start}`; no recording is in this folder.
- **Before and after**: equal-error rate between tracks {before:.2%} before, {after:.2%} with a map from every other
  clip, both in the clips in between and by their own likeliest partition. No label says that the partition is right.
- **Scores**: `calibration.safetensors` centres the vectors and says what their cosines mean; nothing is left to be
  normalised.
- **Limits**: it knows differences like those of the catalogue it was taught by. A similar vector suggests the same
  singer and proves nothing.
"""


@torch.no_grad()
def mapped(encoder: Encoder, matrix: np.ndarray) -> Encoder:
    """Return a copy of an encoder whose vectors are multiplied by `matrix (d, d)` and normalised again."""
    found, by = deepcopy(encoder), torch.from_numpy(matrix).double().T
    found.head.weight.copy_(by @ encoder.head.weight.double())
    found.head.bias.copy_(by @ encoder.head.bias.double())
    return found


def publish(
    encoder: Encoder, matrix: np.ndarray, folder: Path, measured: Mapping[str, float], use_credits: bool
) -> str:
    """Write the mapped encoder's four files and return its `encoder_id`.

    Args:
        encoder: that the catalogue was embedded with.
        matrix: (d, d) the map.
        folder: gets the files.
        measured: `clips`, `tracks`, `groups`, `before` and `after` for the card, and anything else for metrics.json.
        use_credits: whether artist tags were used.
    """
    found = mapped(encoder, matrix)
    encoder_id = checkpoint.save(found, folder, {**measured, "start": encoder.encoder_id}, card="")
    credited = "The files' own artist tags were used too, where the voices confirm them."
    card = CARD.format(
        encoder_id=encoder_id,
        start=encoder.encoder_id,
        dim=found.dim,
        supervision=credited if use_credits else "No names were used.",
        **measured,
    )
    (folder / "README.md").write_text(card)
    return encoder_id
