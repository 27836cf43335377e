"""Configuration of the encoder: what the model is.

An `EncoderConfig` alone builds the model; with `model.safetensors` beside it, it loads it. Every field is
explicit, nothing is derived from where or how the model is used.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    """Base of every configuration here: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FrontEndConfig(Frozen):
    """The log-mel layer: at which rate, through which window, over which band, how many frames a second."""

    sample_rate_hz: int = Field(default=44100, ge=8000, le=96000)
    window_s: float = Field(default=0.040, gt=0.005, le=0.1)
    hop_s: float = Field(default=0.020, gt=0.002, le=0.05)
    n_mels: int = Field(default=80, ge=8, le=256)
    low_hz: float = Field(default=50.0, ge=0)
    high_hz: float = Field(default=16000.0, gt=0)
    window: Literal["hann", "povey"] = "hann"
    preemphasis: float = Field(default=0.97, ge=0, lt=1)
    floor_db: float | None = Field(default=-80.0, lt=0)  # below the clip's mean band power; None: Kaldi's fixed one
    normalise: Literal["mean", "mean_std", "level"] = "level"

    @model_validator(mode="after")
    def _band_within_rate(self) -> FrontEndConfig:
        if not self.low_hz < self.high_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"the band {self.low_hz}–{self.high_hz} Hz does not lie below half of {self.sample_rate_hz} Hz"
            )
        return self


class EncoderConfig(Frozen):
    """Front end, stem, transformer, pooling: the whole model. `size` only names the preset it came from."""

    size: Literal["tiny", "small", "base", "custom"] = "custom"
    front_end: FrontEndConfig = FrontEndConfig()
    stem: Literal["conv", "campplus"] = "conv"
    stem_channels: int = Field(default=32, ge=4)
    width: int = Field(default=256, ge=16)
    layers: int = Field(default=6, ge=0)
    heads: int = Field(default=4, ge=1)
    mlp_ratio: float = Field(default=4.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    dim: int = Field(default=192, ge=8)
    loudness: float = Field(default=0.0, ge=0, description="power of its level in a frame's weight, see encoder.model")
    min_s: float = Field(default=0.2, ge=0.05)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> EncoderConfig:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is not an even multiple of {self.heads} heads")
        if self.stem == "campplus" and (self.front_end.n_mels != 80 or self.width != 512):
            raise ValueError("the CAM++ stem takes 80 mel bands and gives 512 channels: n_mels 80, width 512")
        return self


KALDI_16K = FrontEndConfig(
    sample_rate_hz=16000,
    window_s=0.025,
    hop_s=0.010,
    low_hz=20.0,
    high_hz=8000.0,
    window="povey",
    floor_db=None,
    normalise="mean",
)
"""The filter bank that CAM++ was trained on (Kaldi's defaults, 80 bands, mean-normalised per clip)."""


def campplus(layers: int = 2, heads: int = 8, mlp_ratio: float = 2.0, loudness: float = 0.0) -> EncoderConfig:
    """CAM++'s trunk (`encoder.campplus.from_campplus` fills it) under so many transformer layers."""
    return EncoderConfig(
        front_end=KALDI_16K,
        stem="campplus",
        width=512,
        layers=layers,
        heads=heads,
        mlp_ratio=mlp_ratio,
        dim=192,
        loudness=loudness,
    )


def preset(size: Literal["tiny", "small", "base"]) -> EncoderConfig:
    """The three sizes: `tiny` for tests and the demo, `small` for CPUs, `base` for GPUs."""
    if size == "tiny":
        return EncoderConfig(size="tiny", stem_channels=8, width=64, layers=2, heads=2, mlp_ratio=2.0, dim=64)
    if size == "small":
        return EncoderConfig(size="small", stem_channels=32, width=256, layers=6, heads=4, dim=192)
    return EncoderConfig(size="base", stem_channels=64, width=512, layers=12, heads=8, dim=256)


class Chance(Frozen):
    """How often an augmentation happens, and between which values it is drawn, uniformly."""

    probability: float = Field(ge=0, le=1)
    low: float = 0.0
    high: float = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Chance:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


def chance(probability: float, low: float = 0.0, high: float = 0.0) -> Chance:
    return Chance(probability=probability, low=low, high=high)


class AugmentConfig(Frozen):
    """Each augmentation with its probability and range (`encoder.training.augment` says what each does)."""

    pitch_semitones: Chance = chance(0.06, -3, 3)  # formants stay
    stretch: Chance = chance(0.03, 0.85, 1.15)  # duration factor, pitch stays
    pseudo_singer: Chance = chance(0.1, 0.84, 1.19)  # formant ratio: another singer; same for both views
    residue_db: Chance = chance(0.25, 5, 25)  # voice over another clip's sound, as left by a separator
    noise_db: Chance = chance(0.15, 10, 40)  # voice over noise of a random colour
    equaliser_db: Chance = chance(0.15, 2, 8)  # depth of a smooth random response
    reverb_s: Chance = chance(0.15, 0.1, 0.44)  # time in which the tail falls by 60 dB
    band_limit_hz: Chance = chance(0.2, 3400, 12000)  # upper edge
    gain_db: Chance = chance(1.0, -12, 6)
    clip_share: Chance = chance(0.1, 0.001, 0.02)  # share of samples beyond the ceiling
    time_mask_s: Chance = chance(0.3, 0.05, 0.4)
    frequency_mask: Chance = chance(0.3, 0.02, 0.2)  # share of the mel bands
    codec: Chance = chance(0.0, 0.1, 0.8)  # quality of an mp3 or ogg round trip, on the CPU while loading


NO_AUGMENT = AugmentConfig(**{name: Chance(probability=0) for name in AugmentConfig.model_fields})


class ViewsConfig(Frozen):
    """Where the two views of a clip come from (`encoder.training.views` says what each choice means)."""

    positives: Literal["clip", "track", "pair", "singer"] = "clip"
    same_singer: Literal["track", "artist", "album"] = "track"  # whose crops are never each other's negatives
    crop_s: float = Field(default=4.0, gt=0.3, le=30)
    overlap: bool = False

    @model_validator(mode="after")
    def _singers_have_names(self) -> ViewsConfig:
        if self.positives == "singer" and self.same_singer == "track":
            raise ValueError("positives: singer needs same_singer: artist or album, which says who is one")
        return self


TERMS = ("contrastive", "masked", "invariance", "variance", "covariance", "alignment", "uniformity", "byol", "dino")


class ObjectivesConfig(Frozen):
    """Weight of each term of the loss (0: not computed), and what the terms need."""

    contrastive: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=0.1, gt=0)
    decoupled: bool = False
    queue: int = Field(default=0, ge=0)
    masked: float = Field(default=0.0, ge=0)
    codes: int = Field(default=1024, ge=2)
    mask_start: float = Field(default=0.01, gt=0, lt=1)
    mask_span: int = Field(default=20, ge=1)
    invariance: float = Field(default=0.0, ge=0)
    variance: float = Field(default=0.0, ge=0)
    covariance: float = Field(default=0.0, ge=0)
    alignment: float = Field(default=0.0, ge=0)
    uniformity: float = Field(default=0.0, ge=0)
    byol: float = Field(default=0.0, ge=0)
    dino: float = Field(default=0.0, ge=0)
    prototypes: int = Field(default=512, ge=2)
    projection: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _something_to_learn(self) -> ObjectivesConfig:
        if not any(getattr(self, term) for term in TERMS):
            raise ValueError(f"all objectives have weight 0; give one of {', '.join(TERMS)} a weight")
        return self

    @property
    def follows_average(self) -> bool:
        """Whether a term needs the embeddings of the EMA encoder, too."""
        return bool(self.byol or self.dino or self.queue)


RECIPES: dict[str, ObjectivesConfig] = {
    "contrastive": ObjectivesConfig(),
    "decoupled": ObjectivesConfig(decoupled=True),
    "queue": ObjectivesConfig(queue=4096),
    "masked": ObjectivesConfig(contrastive=0, masked=1),
    "contrastive_masked": ObjectivesConfig(masked=0.1),
    "vicreg": ObjectivesConfig(contrastive=0, invariance=25, variance=25, covariance=1, projection=1024),
    "contrastive_vicreg": ObjectivesConfig(variance=1, covariance=0.05, projection=512),
    "uniformity": ObjectivesConfig(contrastive=0, alignment=1, uniformity=0.5),
    "byol": ObjectivesConfig(contrastive=0, byol=1, projection=256),
    "dino": ObjectivesConfig(contrastive=0, dino=1, projection=256),
}
"""A way to train per objective; the terms of Torres et al. 2023 (ISMIR) and their combinations.

The first is the default: it came out best where they were compared (`jobs.bench.recipes`, README).
"""


class TrainConfig(Frozen):
    """A training run: what shapes its result, and (`workers`, each with `cpus` and `gpus`) where it runs."""

    size: Literal["tiny", "small", "base"] = "small"
    init: str | None = "default"
    recipe: str | None = None
    objectives: ObjectivesConfig = RECIPES["contrastive"]
    views: ViewsConfig = ViewsConfig()
    augment: AugmentConfig = AugmentConfig()
    steps: int = Field(default=2000, ge=1)
    batch: int = Field(default=64, ge=2)
    accumulate: int = Field(default=1, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)  # 5e-4 from nothing, 5e-5 going on from an encoder
    warmup: int = Field(default=100, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    ema: float = Field(default=0.99, ge=0, lt=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    held_out: float = Field(default=0.1, ge=0, le=0.5)
    validate_every: int = Field(default=200, ge=1)
    checkpoint_every: int = Field(default=200, ge=1)
    log_every: int = Field(default=10, ge=1)
    collapse_spread: float = Field(default=0.02, ge=0)
    seed: int = 0
    workers: int = Field(default=1, ge=1)
    cpus: int = Field(default=2, ge=1)
    gpus: float = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _known_recipe(self) -> TrainConfig:
        if self.recipe is not None and self.recipe not in RECIPES:
            raise ValueError(f"no recipe {self.recipe!r}; there are {', '.join(RECIPES)}")
        return self

    def content(self) -> dict[str, object]:
        """What shapes the result; two runs with the same content and clips are one and the same."""
        content: dict[str, object] = self.model_dump(mode="json", exclude={"workers", "cpus", "gpus"})
        return content if self.init is not None else content | {"encoder": preset(self.size).model_dump(mode="json")}

    @property
    def peak_rate(self) -> float:
        """The learning rate in force; ten times less going on, or what is there is lost in a few steps."""
        return self.learning_rate or (5e-4 if self.init is None else 5e-5)

    @property
    def terms(self) -> ObjectivesConfig:
        """The objectives in force: those of the named recipe, or else `objectives`."""
        return RECIPES[self.recipe] if self.recipe else self.objectives
