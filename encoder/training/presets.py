"""Recipes: named settings of a training. Each is a part of a `TrainConfig`; the others have their defaults.

The objectives are the terms of Torres et al. 2023, "Singer Identity Representation Learning Using Self-Supervised
Techniques" (ISMIR), and combinations of them; `contrastive` is the default, because it came out best where they were
compared (`jobs.bench.recipes`, docs/training.md). `separated` is how the weights that ship were made; it needs clips
whose `pair_audio` is the clean voice and a name for each singer (`encoder.training.recipes.separated`). `groups`
continues from an encoder and needs no names: groups of the likeliest partition into vocalists count as singers.
"""

from typing import Any

OFF = {"probability": 0}
NOTHING = (
    *("pitch_semitones", "stretch", "pseudo_singer", "residue_db", "noise_db", "equaliser_db", "reverb_s"),
    *("band_limit_hz", "gain_db", "clip_share", "time_mask_s", "frequency_mask", "codec"),
)

RECIPES: dict[str, dict[str, Any]] = {
    "contrastive": {},
    "decoupled": {"objectives": {"decoupled": True}},
    "queue": {"objectives": {"queue": 4096}},
    "masked": {"objectives": {"contrastive": 0, "masked": 1}},
    "contrastive_masked": {"objectives": {"masked": 0.1}},
    "vicreg": {"objectives": {"contrastive": 0, "invariance": 25, "variance": 25, "covariance": 1, "projection": 1024}},
    "contrastive_vicreg": {"objectives": {"variance": 1, "covariance": 0.05, "projection": 512}},
    "uniformity": {"objectives": {"contrastive": 0, "alignment": 1, "uniformity": 0.5}},
    "byol": {"objectives": {"contrastive": 0, "byol": 1, "projection": 256}},
    "dino": {"objectives": {"contrastive": 0, "dino": 1, "projection": 256}},
    "groups": {
        "objectives": {"contrastive": 1, "prototypical": 1, "attraction": 0.5, "one_singer": 0.6, "gate": True},
        "views": {"positives": "singer", "same_singer": "group", "crop_s": 2.5},
        "augment": dict.fromkeys(NOTHING, OFF),
        "steps": 150,
        "batch": 32,
        "rounds": 2,
        "learning_rate": 5e-5,
        # What comes before the pooling stays as it is, and is computed once; the rest learns as in `separated`.
        "rate_factors": {"stem": 0, "blocks": 0, "norm": 0, "pool": 3},
        "warmup": 20,
        "weight_decay": 0.01,
        "clip_norm": 5,
        "held_out": 0,
        "blend": 0.5,
    },
    "separated": {
        "objectives": {"contrastive": 1, "prototypical": 1, "attraction": 0.5},
        "views": {
            "positives": "singer",
            "same_singer": "artist",
            "crop_s": 2.5,
            "pair_share": 0.4,
            "speeds": [1.0, 0.88, 1.14],
        },
        "augment": {
            **dict.fromkeys(
                ("pitch_semitones", "stretch", "pseudo_singer", "noise_db", "equaliser_db", "reverb_s"), OFF
            ),
            **dict.fromkeys(("band_limit_hz", "clip_share"), OFF),
            "residue_db": {"probability": 0.5, "low": 3, "high": 20},
            "time_mask_s": {"probability": 0.3, "low": 0.05, "high": 0.5},
            "frequency_mask": {"probability": 0.4, "low": 0.01, "high": 0.12},
        },
        "steps": 880,
        "batch": 24,
        "learning_rate": 5e-5,
        # Gentle on what CAM++ knows, faster on what is new; the two-dimensional convolutions stay as they are.
        "rate_factors": {"stem.conv_in": 0, "stem.residuals": 0, "stem.conv_out": 0, "blocks": 3, "pool": 3},
        "warmup": 20,
        "weight_decay": 0.01,
        "clip_norm": 5,
        "held_out": 0,
        # A few singers are memorised before a separator's artefacts are understood: half way back to the initial
        # weights does better on new voices. Whitening keeps the few directions that separate kinds of voice from
        # dominating the others.
        "blend": 0.5,
        "whiten": 0.75,
    },
}
