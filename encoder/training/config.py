"""Configuration of a training: objectives, views, augmentations, and the recipes that name whole sets of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from encoder.config import preset
from encoder.frozen import Frozen
from encoder.training.presets import RECIPES


class Chance(Frozen):
    """How often an augmentation happens, and the range from which its value is drawn uniformly."""

    probability: float = Field(ge=0, le=1)
    low: float = 0.0
    high: float = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Chance:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


def chance(probability: float, low: float = 0.0, high: float = 0.0) -> Chance:
    """Return a `Chance` from positional values."""
    return Chance(probability=probability, low=low, high=high)


class AugmentConfig(Frozen):
    """Each augmentation with its probability and range; `encoder.training.augment` says what each one does."""

    pitch_semitones: Chance = chance(0.06, -3, 3)  # formants stay
    stretch: Chance = chance(0.03, 0.85, 1.15)  # duration factor, pitch stays
    pseudo_singer: Chance = chance(0.1, 0.84, 1.19)  # formant ratio, the same for both views: another singer
    residue_db: Chance = chance(0.25, 5, 25)  # voice over another clip's sound, as a separator leaves it
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
    """Where the two views of a clip come from; `encoder.training.views` says what each choice means."""

    positives: Literal["clip", "track", "pair", "singer"] = "clip"
    same_singer: Literal["track", "artist", "album", "group"] = "track"  # crops of one are never negatives
    crop_s: float = Field(default=4.0, gt=0.3, le=30)
    overlap: bool = False
    pair_share: float = Field(default=0.0, ge=0, le=1)  # of second views that come from `pair_audio`
    speeds: tuple[float, ...] = (1.0,)  # a clip is played at one of these; at each it counts as another singer

    @model_validator(mode="after")
    def _singers_have_names(self) -> ViewsConfig:
        if self.positives == "singer" and self.same_singer == "track":
            raise ValueError("positives: singer needs same_singer: artist, album or group, which says who is one")
        if not self.speeds or not all(0.5 <= speed <= 2 for speed in self.speeds):
            raise ValueError(f"speeds {self.speeds}: give one or more between 0.5 and 2")
        return self


TERMS = (
    "contrastive",
    "masked",
    "invariance",
    "variance",
    "covariance",
    "alignment",
    "uniformity",
    "byol",
    "dino",
    "prototypical",
    "attraction",
)


class ObjectivesConfig(Frozen):
    """Weight of each term of the loss (0: not computed), and the parameters of the terms."""

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
    dino_outputs: int = Field(default=512, ge=2)
    prototypical: float = Field(default=0.0, ge=0)
    attraction: float = Field(default=0.0, ge=0)
    one_singer: float = Field(default=0.75, ge=-1, le=1)  # prototypes whose cosine is above this may be one singer
    margin: float = Field(default=0.0, ge=0, le=1)  # of `prototypical`, an angle in radians
    gate: bool = False  # leave out pairs whose label is probably wrong: `objectives.gate`
    projection: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _something_to_learn(self) -> ObjectivesConfig:
        if not any(getattr(self, term) for term in TERMS):
            raise ValueError(f"all objectives have weight 0; give one of {', '.join(TERMS)} a weight")
        return self

    @property
    def follows_average(self) -> bool:
        """Whether a term needs the embeddings of the averaged (EMA) encoder too."""
        return bool(self.byol or self.dino or self.queue)

    @property
    def has_prototypes(self) -> bool:
        """Whether a term needs the initial encoder's vector of each singer."""
        return bool(self.prototypical or self.attraction or self.gate)

    @property
    def uses_embeddings(self) -> bool:
        """Whether a term sees embeddings; masked prediction alone trains stem and transformer only."""
        return any(getattr(self, term) for term in TERMS if term != "masked")


TRUNK = ("stem", "blocks", "norm")  # the parts of an encoder before its pooling

WHERE = {
    "method",
    "workers",
    "workers_min",
    "max_failures",
    "cpus",
    "gpus",
}  # these do not change the resulting encoder


class TrainConfig(Frozen):
    """Settings of a training: what determines its result, and where it runs (`workers`, each with `cpus`, `gpus`)."""

    method: Literal["network", "linear"] = Field(
        default="network",
        description="network: from clips; linear: a map of the vectors that `embed` made, in seconds, without clips",
    )
    use_credits: bool = Field(
        default=False, description="also use artist tags that the voices confirm: with linear, or same_singer: group"
    )
    rounds: int = Field(
        default=1, ge=1, le=3, description="with same_singer: group, how often to group the tracks and train"
    )
    size: Literal["tiny", "small", "base"] = "small"
    init: str | None = "default"
    recipe: str | None = Field(default=None, description="named settings; settings given explicitly override them")
    objectives: ObjectivesConfig = ObjectivesConfig()
    views: ViewsConfig = ViewsConfig()
    augment: AugmentConfig = AugmentConfig()
    steps: int = Field(default=2000, ge=1)
    batch: int = Field(default=64, ge=2)
    accumulate: int = Field(default=1, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)  # None: 5e-4 from random weights, 5e-5 from an encoder
    rate_factors: dict[str, float] = Field(
        default_factory=dict,
        description="factor on the learning rate, by the beginning of the names of an encoder's parameters; 0: frozen",
    )
    warmup: int = Field(default=100, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    ema: float = Field(default=0.99, ge=0, lt=1)
    blend: float = Field(default=1.0, ge=0, le=1, description="how far to go from the weights of `init`: 1 all the way")
    whiten: float | None = Field(
        default=None, ge=0, le=1, description="the head, after training: 1 fully, 0 only centres"
    )
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    held_out: float = Field(default=0.1, ge=0, le=0.5)
    validate_every: int = Field(default=200, ge=1)
    checkpoint_every: int = Field(default=200, ge=1)
    log_every: int = Field(default=10, ge=1)
    collapse_std: float = Field(default=0.02, ge=0)
    seed: int = 0
    workers: int = Field(default=1, ge=1)
    workers_min: int | None = Field(default=None, ge=1, description="fewest to start with while a cluster is small")
    max_failures: int = Field(default=2, ge=0, description="lost workers or nodes that training survives")
    cpus: int = Field(default=2, ge=1)
    gpus: float = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _settings_of_the_recipe(cls, given: Any) -> Any:
        name = given.get("recipe") if isinstance(given, Mapping) else None
        if name is None:
            return given
        if name not in RECIPES:
            raise ValueError(f"no recipe {name!r}; there are {', '.join(RECIPES)}")
        return merged(RECIPES[name], given)

    @model_validator(mode="after")
    def _has_what_it_starts_from(self) -> TrainConfig:
        grouped = self.views.same_singer == "group"
        if self.init is None and (self.blend < 1 or self.objectives.has_prototypes or grouped):
            raise ValueError(
                "blend, prototypical, attraction, gate and same_singer: group need the encoder that training starts "
                "from: set init"
            )
        return self

    @property
    def keeps_frames(self) -> bool:
        """Whether the layers before the pooling, and their input, never change: their output is then computed once."""
        rates = [rate for name, rate in self.rate_factors.items() if name.startswith(TRUNK)]
        plain = self.augment == NO_AUGMENT and self.views.speeds == (1.0,) and not self.objectives.masked
        frozen = all(self.rate_factors.get(name) == 0 for name in TRUNK) and not any(rates)
        return self.init is not None and frozen and plain

    @model_validator(mode="after")
    def _divides_the_batch(self) -> TrainConfig:
        fewest = self.workers_min or self.workers
        if fewest > self.workers:
            raise ValueError(f"workers_min ({fewest}) is above workers ({self.workers})")
        if odd := [n for n in range(fewest, self.workers + 1) if fewest < self.workers and self.batch % n]:
            raise ValueError(f"a batch of {self.batch} cannot be divided among {odd[0]} workers, as there may be")
        return self

    def content(self) -> dict[str, object]:
        """Return what determines the result: two trainings with the same content and clips give the same encoder."""
        content: dict[str, object] = self.model_dump(mode="json", exclude=WHERE)
        return content if self.init is not None else content | {"encoder": preset(self.size).model_dump(mode="json")}

    def with_recipe(self, name: str) -> TrainConfig:
        """Return the settings that were given explicitly, on top of a recipe.

        Raises:
            ValueError: they already use a recipe, so it is unknown which were given explicitly.
        """
        if self.recipe is not None:
            raise ValueError(f"these settings already use the recipe {self.recipe!r}")
        return TrainConfig.model_validate(self.model_dump(exclude_unset=True) | {"recipe": name})

    @property
    def peak_rate(self) -> float:
        """The peak learning rate; by default ten times lower from an encoder, which forgets fast."""
        return self.learning_rate or (5e-4 if self.init is None else 5e-5)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings in which those of `above` win, key by key."""
    result = dict(below)
    for key, value in above.items():
        earlier = result.get(key)
        if isinstance(value, Mapping) and isinstance(earlier, Mapping):
            result[key] = merged(earlier, value)
        else:
            result[key] = value
    return result
