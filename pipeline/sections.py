"""The config of one catalogue run and its sections, one a stage: what a worker is handed. Loads no torch."""

import hashlib
import json
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, field_validator, model_validator

from encoder.frozen import Frozen
from encoder.training.config import TrainConfig

# What `evaluate.audio` compares: ours, a floor, speaker verification, self-supervised speech.
ALL_ENCODERS = ("default", "mfcc", "ge2e", "campplus", "wav2vec2", "xlsr", "hubert", "wavlm")
TASKS = ("similarity", "identification", "retrieval", "clusters", "scores")
Precision = Literal["auto", "fp32", "bf16", "fp16"]

Stage = Literal["scan", "separate", "shard", "train", "embed", "cluster", "tag", "evaluate", "report", "export"]
STAGES: tuple[str, ...] = get_args(Stage)
AUDIO_SUFFIXES = frozenset(
    ".3g2 .3gp .8svx .aac .ac3 .aif .aifc .aiff .alac .amr .ape .asf .au .avi .awb .caf .dff .dsf .dts .eac3 .f4a .f4v "
    ".flac .flv .iff .m2ts .m4a .m4b .m4r .m4v .mka .mkv .mov .mp1 .mp2 .mp3 .mp4 .mpc .mpeg .mpg .mts .mxf .oga .ogg "
    ".oggflac .ogm .ogv .oma .opus .ra .rf64 .rm .rmvb .shn .snd .sph .spx .tak .ts .tta .vob .voc .w64 .wav .wave "
    ".webm .wma .wmv .wtv .wv".split()
)


class Compute(Frozen):
    """How a stage is spread over a Ray cluster; it never changes a result, so no fingerprint holds it."""

    workers_min: int = Field(1, ge=1, description="actors that are always there")
    workers_max: int = Field(1, ge=1, description="actors the pool may grow to")
    cpus: float = Field(1, ge=0, description="CPU cores per actor")
    gpus: float = Field(0, ge=0, description="GPUs per actor")
    batch: int = Field(16, ge=1, description="items per call of a worker, and per part file")

    @model_validator(mode="after")
    def _ordered(self) -> "Compute":
        if self.workers_max < self.workers_min:
            raise ValueError(f"workers_max ({self.workers_max}) is below workers_min ({self.workers_min})")
        return self


class StoreConfig(Frozen):
    """Where things are that are not at their usual places; credentials come from the environment."""

    endpoint: str | None = Field(None, description="URL of the S3 service; else AWS_ENDPOINT_URL, else Amazon's")
    region: str | None = Field(None, description="of the S3 service; else AWS_REGION, else the bucket's own")
    weights: str | None = Field(
        None, description="folder or s3://… with a folder for each model, for machines that reach no hub"
    )

    def environment(self) -> dict[str, str]:
        """Return the variables by which this process and its workers find them."""
        variables = {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_REGION": self.region,
            "VOCATLAS_WEIGHTS": self.weights,
        }
        return {name: value for name, value in variables.items() if value}


class RenderConfig(Frozen):
    """How large a demo catalogue is; the same config makes the same music, however many workers there are."""

    seed: int = Field(0, ge=0)
    singers: int = Field(8, ge=2, le=16)
    songs: int = Field(6, ge=1, le=12, description="per singer")
    song_s: float = Field(25.0, ge=6, le=300, description="length of a song, to the nearest phrase")
    odd_files: bool = Field(True, description="with the instrumental, the duet, the broken files and so on")
    workers: int = Field(2, ge=1, description="processes that render")


class ScanConfig(Frozen):
    """Which files count as audio, and how the reading is spread."""

    suffixes: tuple[str, ...] = Field(tuple(sorted(AUDIO_SUFFIXES)), description="file name endings to take up")
    compute: Compute = Compute(batch=64)


class ExcerptsConfig(Frozen):
    """The parts of a track that are heard, spread evenly over it."""

    count: int = Field(4, ge=1, le=100, description="how many")
    seconds: float = Field(15.0, ge=5, le=120, description="how long each")


class SeparateConfig(Frozen):
    """Which separator isolates the vocals, and how it computes."""

    separator: str = Field(
        "htdemucs",
        description="spleeter (embedded), htdemucs, htdemucs_ft or another demucs name, "
        "hf://…, or a folder of demucs models",
    )
    precision: Precision = Field(
        "auto", description="of the network: fp32, bf16, fp16 (GPU), or auto: 16 bit where the hardware computes in it"
    )
    min_s: float = Field(1.0, ge=0, description="shortest track")
    excerpts: ExcerptsConfig | None = Field(
        None, description="hear no more of a longer track than these; null: all of it"
    )
    compute: Compute = Compute(cpus=2, batch=8)


class ShardConfig(Frozen):
    """How vocals are cut into clips."""

    sample_rate_hz: int = Field(16000, ge=8000, description="of the clips: at least what the encoder hears")
    min_s: float = Field(4.0, ge=1, description="shortest clip")
    max_s: float = Field(10.0, le=30, description="longest clip")
    pause_s: float = Field(1.0, ge=0, description="longest pause inside a clip")
    phrase_s: float = Field(2.0, gt=0, description="shortest phrase that is worth widening to min_s")
    mix_share: float = Field(0.2, ge=0, lt=1, description="of the mix in a clip, the rest being the isolated vocals")
    pairs: bool = Field(False, description="also remix each clip with another track's accompaniment, and separate that")
    range_db: float = Field(30.0, gt=0, description="how far below the loud singing a frame still counts as voiced")
    floor_db: float = Field(-55.0, description="RMS level under which nothing counts as voiced, dB full scale")
    shard_mb: float = Field(128.0, gt=0, description="size of a Parquet file, reached at the end of a track")
    compute: Compute = Compute(batch=32)

    @model_validator(mode="after")
    def _lengths(self) -> "ShardConfig":
        if self.max_s < 2 * self.min_s:
            raise ValueError(
                f"max_s ({self.max_s}) must be at least twice min_s ({self.min_s}), so that long "
                "singing can always be cut"
            )
        return self


class EmbedConfig(Frozen):
    """Which encoder embeds, and how."""

    encoder: str = Field(
        "default",
        description="default (for research only), campplus (Apache-2.0), trained (the "
        "newest under encoders/), the id of one there, a folder, a TorchScript "
        "file, or hf://owner/name",
    )
    batch_s: float = Field(160.0, gt=0, description="seconds of audio in one forward pass")
    bf16: bool = Field(True, description="bfloat16 arithmetic where the device has it")
    compute: Compute = Compute(batch=1)


class ClusterConfig(Frozen):
    """How voices are grouped."""

    purity: float = Field(
        0.5,
        ge=0.5,
        lt=1,
        description="groups become one where they share a vocalist with this "
        "probability or more: more makes smaller, purer clusters",
    )
    umap: bool = Field(
        True, description="draw the map by UMAP, whose neighbours sound alike; false: by two principal axes, at once"
    )


class TagConfig(Frozen):
    """How names are given."""

    min_probability: float = Field(0.95, ge=0.5, le=1, description="from which a name is given; below, a candidate")
    use_credits: bool = Field(True, description="learn voices from the files' own artist tags, and name by them")


class SetConfig(Frozen):
    """A labelled data set, and what is measured on it."""

    name: str = Field(description="its name in the tables")
    path: str = Field(description="its folder")
    reader: str = Field("folder", description="its layout: one of pipeline.evaluate.datasets.READERS")
    singers: str | tuple[str, ...] = Field(
        "all", description="all, held_out (unseen in the training of the default encoder) or names"
    )
    trials: str | None = Field(None, description="trials file to score instead of making trials")
    conditions: tuple[str, ...] = Field(("clean",), description="see pipeline.evaluate.conditions")
    tasks: tuple[str, ...] = Field(("similarity",), description=f"of {', '.join(TASKS)}")

    @field_validator("tasks")
    @classmethod
    def _known(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(tasks) - set(TASKS))
        if unknown:
            raise ValueError(f"unknown task {', '.join(unknown)}; there are {', '.join(TASKS)}")
        return tasks


class EvaluateConfig(Frozen):
    """What is evaluated. Without `audio` or `sets`: the workspace's tracks with an artist tag."""

    audio: str | None = Field(None, description="folder with karaoke/ and previews/, the README's sets")
    sets: tuple[SetConfig, ...] = Field((), description="data sets, each a section of its own")
    encoders: tuple[str, ...] | None = Field(
        None,
        description="see pipeline.evaluate.adapters; null: embed.encoder and mfcc, with `audio` all there are",
    )
    separator: str = Field("spleeter", description="what makes the condition `separated`")
    crop_s: float = Field(4.0, gt=0, description="length of a crop")
    min_crop_s: float = Field(1.0, gt=0, description="a recording with less voice than this is too short")
    crops_per_recording: int = Field(8, ge=1, description="at most, spread evenly")
    silence_db: float = Field(-60.0, lt=0, description="peak level of a silent crop, relative to full scale")
    max_trials: int = Field(100_000, ge=2, description="of a set; more are drawn from, seeded")
    same_recording: bool = Field(False, description="report two crops of one recording, apart")
    rank_others: int = Field(512, ge=1, description="other recordings that a true match is ranked among")
    p_target: float = Field(0.01, gt=0, lt=1, description="prior of a target in minDCF")
    bootstrap: int = Field(200, ge=0, description="draws of singers for the 95 % intervals; 0: no intervals")
    sample_rate_hz: int = Field(44100, ge=8000, description="rate at which conditions are made")
    compute: Compute = Compute(workers_max=2, batch=4)


class ReportConfig(Frozen):
    """How much the page holds."""

    max_points: int = Field(20_000, ge=1, description="voices on the map; of more, a seeded sample")
    max_snippets: int = Field(40, ge=0, description="excerpts of vocals inside the page, about 40 kB each")
    snippet_s: float = Field(4.0, gt=0, le=30, description="length of an excerpt")
    max_rows: int = Field(200, ge=1, description="rows of a table; of more, the first")


class ExportConfig(Frozen):
    """Which vocalists are exported, from which of their tracks."""

    min_tracks: int = Field(1, ge=1, description="vocalists with fewer tracks than these are left out")
    min_probability: float = Field(0.8, ge=0, le=1, description="of a tag, for its track to count; known ones have 1")
    trim: float = Field(0.2, ge=0, lt=0.5, description="part of a vocalist's tracks, the least like the rest, left out")


class Config(Frozen):
    """One catalogue run. Relative paths are taken from the folder the command runs in."""

    workspace: str = Field("workspace", description="local folder, s3://… or gs://… that holds all that is made")
    catalogue: str | None = Field(None, description="folder, glob or CSV/Parquet manifest of audio files")
    known: str | None = Field(None, description="CSV of known names: track (or track_id), vocalist")
    stages: tuple[Stage, ...] = Field(
        ("scan", "separate", "shard", "embed", "cluster", "tag", "report"),
        description="what `make run` runs, in this order",
    )
    seed: int = Field(0, description="what every random choice is derived from")
    replace: bool = Field(False, description="discard what another config made in this workspace")
    retry_failed: bool = Field(False, description="try again what failed before")
    max_failed_fraction: float = Field(0.5, ge=0, le=1, description="of a stage's items; with more, its exit is 1")
    keep_vocals: bool = Field(
        True, description="keep the vocals' audio once clips are cut from it; without it the report plays nothing"
    )
    min_free_gb: float = Field(1.0, ge=0, description="room that a local workspace must have before work starts")

    store: StoreConfig = StoreConfig()
    render: RenderConfig = RenderConfig()
    scan: ScanConfig = ScanConfig()
    separate: SeparateConfig = SeparateConfig()
    shard: ShardConfig = ShardConfig()
    train: TrainConfig = TrainConfig()
    embed: EmbedConfig = EmbedConfig()
    cluster: ClusterConfig = ClusterConfig()
    tag: TagConfig = TagConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    report: ReportConfig = ReportConfig()
    export: ExportConfig = ExportConfig()

    def fingerprint(self, *sections: str) -> str:
        """Return what identifies the named sections' content; how work is spread does not count."""
        return fingerprint(*(getattr(self, section) for section in sections))

    def to_yaml(self, *sections: str) -> str:
        """Return the whole config, or the named sections, as a config file would say it."""
        return yaml.safe_dump(self.model_dump(mode="json", include=set(sections) or None), sort_keys=False)


def fingerprint(*parts: Any) -> str:
    """Return 12 hex digits that identify configs and values by content, `compute` sections left out."""
    plain = [
        part.model_dump(mode="json", exclude={"compute"}) if isinstance(part, BaseModel) else part for part in parts
    ]
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
