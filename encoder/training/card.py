"""The model card of an encoder that training has made."""

from __future__ import annotations

from encoder.config import TERMS, EncoderConfig, TrainConfig

CARD = """# {encoder_id}

A singer-identity encoder for singing voice: a waveform in, a unit vector of {dim} dimensions out.

```python
import encoder
model = encoder.load("path/of/this/folder")
vectors = model(wave, sample_rate_hz)      # wave: (batch, samples) float32 -> (batch, {dim})
```

- **Model**: `{size}`, {parameters:.1f} M parameters; hears {rate} Hz ({low:g}–{high:g} Hz) whatever the input's rate.
- **Training data**: {n_clips} clips of {n_tracks} tracks, isolated vocals of the catalogue it was trained in. The terms
  of those recordings apply; none of them is in this folder.
- **Recipe**: {steps} steps of {batch} clips from `{init}`; terms {terms}; positives: {positives}; seed {seed}.
  `metrics.json` holds the whole configuration, `log.csv` the course of the training.
- **Supervision**: {supervision}
- **Held-out equal-error rate**: {eer} (crops of {crop_s:g} s, singers not trained on; see `log.csv`).
- **Limits**: it knows voices like those it heard. A near vector is a hint at an identity, not a proof of one.
"""


def model_card(
    encoder_id: str,
    model: EncoderConfig,
    train: TrainConfig,
    n_parameters: int,
    n_clips: int,
    n_tracks: int,
    last: dict[str, float],
) -> str:
    """README.md in Markdown. last: the log's last row."""
    weights = train.terms.model_dump(include=set(TERMS))
    named = train.views.same_singer != "track"
    return CARD.format(
        encoder_id=encoder_id,
        dim=model.dim,
        size=model.size,
        parameters=n_parameters / 1e6,
        rate=model.front_end.sample_rate_hz,
        low=model.front_end.low_hz,
        high=model.front_end.high_hz,
        n_clips=n_clips,
        n_tracks=n_tracks,
        steps=train.steps,
        batch=train.batch * train.accumulate,
        init=train.init or "random weights",
        terms=", ".join(f"{name} {weight:g}" for name, weight in weights.items() if weight),
        positives=train.views.positives,
        seed=train.seed,
        crop_s=train.views.crop_s,
        eer=f"{last['held_out_eer']:.1%}" if "held_out_eer" in last else "not measured, too few tracks",
        supervision=f"the files' own {train.views.same_singer} names" if named else "none beyond what a track is",
    )
