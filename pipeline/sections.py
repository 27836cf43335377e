"""The config of one catalogue run, with a section for each stage that its workers get. Importing it loads no torch."""

import hashlib
import json
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, field_validator, model_validator

from encoder.frozen import Frozen
from encoder.training.config import TrainConfig

# What `evaluate.audio` compares: our encoder, a baseline, speaker verification, self-supervised speech models.
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
    """How a stage is distributed over a Ray cluster; it never changes a result, so it is in no fingerprint."""

    workers_min: int = Field(1, ge=1, description="actors to start with")
    workers_max: int = Field(1, ge=1, description="actors that the pool may grow to")
    cpus: float = Field(1, ge=0, description="CPU cores per actor")
    gpus: float = Field(0, ge=0, description="GPUs per actor")
    batch: int = Field(16, ge=1, description="items per call of a worker, and per part file")

    @model_validator(mode="after")
    def _ordered(self) -> "Compute":
        if self.workers_max < self.workers_min:
            raise ValueError(f"workers_max ({self.workers_max}) is below workers_min ({self.workers_min})")
        return self


class StoreConfig(Frozen):
    """Where the object store and the models are, if not at the usual places; credentials are in the environment."""

    endpoint: str | None = Field(None, description="URL of the S3 service; else AWS_ENDPOINT_URL, else Amazon's")
    region: str | None = Field(None, description="region of the S3 service; else AWS_REGION, else the bucket's own")
    weights: str | None = Field(
        None, description="folder or s3://… with a folder for each model, for machines that cannot reach a hub"
    )

    def environment(self) -> dict[str, str]:
        """Return the environment variables by which this process and its workers find them."""
        variables = {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_REGION": self.region,
            "VOCATLAS_WEIGHTS": self.weights,
        }
        return {name: value for name, value in variables.items() if value}


class RenderConfig(Frozen):
    """How large a demo catalogue is; the same config gives the same music, with any number of workers."""

    seed: int = Field(0, ge=0)
    singers: int = Field(8, ge=2, le=16)
    songs: int = Field(6, ge=1, le=12, description="songs of each singer")
    song_s: float = Field(25.0, ge=6, le=300, description="length of a song, to the nearest phrase")
    odd_files: bool = Field(True, description="add an instrumental, a duet, broken files and so on")
    workers: int = Field(2, ge=1, description="processes that render")


class ScanConfig(Frozen):
    """Which files count as audio, and how reading them is distributed."""

    suffixes: tuple[str, ...] = Field(tuple(sorted(AUDIO_SUFFIXES)), description="endings of the names of audio files")
    compute: Compute = Compute(batch=64)


class ExcerptsConfig(Frozen):
    """The parts of a track that are separated, evenly spaced."""

    count: int = Field(4, ge=1, le=100, description="number of excerpts")
    seconds: float = Field(15.0, ge=5, le=120, description="length of each excerpt")


class SeparateConfig(Frozen):
    """Which separator isolates the vocals, and how it computes."""

    separator: str = Field(
        "htdemucs",
        description="spleeter (embedded), htdemucs, htdemucs_ft or another demucs name, "
        "hf://…, or a folder of demucs models",
    )
    precision: Precision = Field(
        "auto",
        description="arithmetic of the network: fp32, bf16, fp16 (GPU), or auto: 16 bit where the hardware has it",
    )
    min_s: float = Field(1.0, ge=0, description="shortest track")
    excerpts: ExcerptsConfig | None = Field(
        None, description="separate only these parts of longer tracks; null: all of a track"
    )
    compute: Compute = Compute(cpus=2, batch=8)


class ShardConfig(Frozen):
    """How vocals are cut into clips."""

    sample_rate_hz: int = Field(16000, ge=8000, description="sample rate of the clips, at least the encoder's")
    min_s: float = Field(4.0, ge=1, description="shortest clip")
    max_s: float = Field(10.0, le=30, description="longest clip")
    pause_s: float = Field(1.0, ge=0, description="longest pause inside a clip")
    phrase_s: float = Field(2.0, gt=0, description="shortest phrase that is extended to min_s")
    mix_share: float = Field(0.2, ge=0, lt=1, description="share of the mix in a clip; the rest is the isolated vocals")
    pairs: bool = Field(False, description="also remix each clip with another track's accompaniment, and separate that")
    range_db: float = Field(30.0, gt=0, description="how far below the loud singing a frame is still voiced")
    floor_db: float = Field(-55.0, description="RMS level below which no frame is voiced, dB full scale")
    shard_mb: float = Field(128.0, gt=0, description="size of a Parquet file, reached at the end of a track")
    compute: Compute = Compute(batch=32)

    @model_validator(mode="after")
    def _lengths(self) -> "ShardConfig":
        if self.max_s < 2 * self.min_s:
            raise ValueError(
                f"max_s ({self.max_s}) must be at least twice min_s ({self.min_s}), so that long "
                "stretches of singing can always be cut"
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
    bf16: bool = Field(True, description="bfloat16 arithmetic, if the device has it")
    compute: Compute = Compute(batch=1)


class ClusterConfig(Frozen):
    """How voices are grouped."""

    purity: float = Field(
        0.5,
        ge=0.5,
        lt=1,
        description="groups are joined if they share a vocalist with at least this "
        "probability; a higher one makes smaller, purer clusters",
    )
    umap: bool = Field(
        True, description="draw the map by UMAP; false: on two principal axes, which is faster but shows less"
    )


class TagConfig(Frozen):
    """When a track gets a name."""

    min_probability: float = Field(
        0.95, ge=0.5, le=1, description="probability from which a track gets a name; less likely ones are candidates"
    )
    use_credits: bool = Field(True, description="learn voices from the files' artist tags too, and give their names")


class SetConfig(Frozen):
    """A labelled data set, and how it is measured."""

    name: str = Field(description="its name in the tables")
    path: str = Field(description="its folder")
    reader: str = Field("folder", description="its layout: one of pipeline.evaluate.datasets.READERS")
    singers: str | tuple[str, ...] = Field(
        "all", description="all, held_out (those that the default encoder was not trained on), or names"
    )
    trials: str | None = Field(None, description="file of trials to score instead of drawn ones")
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
    """What is evaluated: without `audio` or `sets`, the workspace's tracks that have an artist tag."""

    audio: str | None = Field(None, description="folder with karaoke/ and previews/, the sets of docs/results.md")
    sets: tuple[SetConfig, ...] = Field((), description="data sets, each with its own section")
    encoders: tuple[str, ...] | None = Field(
        None,
        description="see pipeline.evaluate.adapters; null: embed.encoder and mfcc, or all of them with `audio`",
    )
    separator: str = Field("spleeter", description="for the condition `separated`")
    crop_s: float = Field(4.0, gt=0, description="length of a crop")
    min_crop_s: float = Field(1.0, gt=0, description="a recording with less voice than this is too short")
    crops_per_recording: int = Field(8, ge=1, description="most crops of a recording, evenly spaced")
    silence_db: float = Field(-60.0, lt=0, description="peak level below which a crop is silent, dB full scale")
    max_trials: int = Field(100_000, ge=2, description="most trials of a set, chosen at random if there are more")
    same_recording: bool = Field(False, description="also report pairs of crops of one recording, separately")
    rank_others: int = Field(512, ge=1, description="other recordings that a true match is ranked among")
    p_target: float = Field(0.01, gt=0, lt=1, description="prior probability of a target in minDCF")
    bootstrap: int = Field(200, ge=0, description="draws of singers for the 95 % intervals; 0 for no intervals")
    sample_rate_hz: int = Field(44100, ge=8000, description="sample rate of the recordings, under all conditions")
    compute: Compute = Compute(workers_max=2, batch=4)


class ReportConfig(Frozen):
    """How much the page shows."""

    max_points: int = Field(20_000, ge=1, description="most voices on the map, chosen at random if there are more")
    max_snippets: int = Field(40, ge=0, description="most snippets of vocals inside the page, about 40 kB each")
    snippet_s: float = Field(4.0, gt=0, le=30, description="length of a snippet")
    max_rows: int = Field(200, ge=1, description="most rows of a table, the first if there are more")


class ExportConfig(Frozen):
    """Which vocalists are exported, from which of their tracks."""

    min_tracks: int = Field(1, ge=1, description="vocalists with fewer tracks are left out")
    min_probability: float = Field(
        0.8, ge=0, le=1, description="probability from which a tag's track is used; known tracks have 1"
    )
    trim: float = Field(0.2, ge=0, lt=0.5, description="share of a vocalist's tracks to leave out, the least similar")


class Config(Frozen):
    """One catalogue run. Relative paths are relative to the folder in which the command runs."""

    workspace: str = Field("workspace", description="local folder, s3://… or gs://… for all results")
    catalogue: str | None = Field(None, description="folder, glob or CSV/Parquet manifest of audio files")
    known: str | None = Field(None, description="CSV of known names: track (or track_id), vocalist")
    stages: tuple[Stage, ...] = Field(
        ("scan", "separate", "shard", "embed", "cluster", "tag", "report"),
        description="stages that `make run` runs, in this order",
    )
    seed: int = Field(0, description="seed of all random choices")
    replace: bool = Field(False, description="discard what another config made in this workspace")
    retry_failed: bool = Field(False, description="try again what failed before")
    max_failed_fraction: float = Field(
        0.5, ge=0, le=1, description="share of a stage's items that may fail; if more do, its exit status is 1"
    )
    keep_vocals: bool = Field(
        True, description="keep the vocals' audio after clips are cut; without it the report plays nothing"
    )
    min_free_gb: float = Field(1.0, ge=0, description="space that a local workspace needs before work starts")

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
        """Return a hash of the named sections' content, without how work is distributed."""
        return fingerprint(*(getattr(self, section) for section in sections))

    def to_yaml(self, *sections: str) -> str:
        """Return the whole config, or the named sections, in the form of a config file."""
        return yaml.safe_dump(self.model_dump(mode="json", include=set(sections) or None), sort_keys=False)


def fingerprint(*parts: Any) -> str:
    """Return 12 hex digits that identify configs and values by content, without their `compute` sections."""
    plain = [
        part.model_dump(mode="json", exclude={"compute"}) if isinstance(part, BaseModel) else part for part in parts
    ]
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
