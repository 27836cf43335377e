"""Evaluation: what an encoder's claims about identity are worth, on any labelled singing."""

from pydantic import Field, field_validator

from pipeline.frozen import Compute, Frozen

# What `audio` compares: ours, a floor, speaker verification, self-supervised speech.
ALL_ENCODERS = ("default", "mfcc", "ge2e", "campplus", "wav2vec2", "xlsr", "hubert", "wavlm")
TASKS = ("similarity", "identification", "retrieval", "clusters", "scores")


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
