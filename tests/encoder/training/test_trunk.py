"""Stored frames of a frozen trunk replace the audio: they give the same vectors, and training works on them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from encoder import Encoder, checkpoint
from encoder.config import EncoderConfig, campplus, preset
from encoder.training import trunk
from encoder.training.config import TrainConfig
from encoder.training.data import ClipShards
from encoder.training.finish import head_outputs
from encoder.training.trainer import Trainer
from encoder.training.views import ViewDataset, pad

CPU, RATE = torch.device("cpu"), 16000


@pytest.fixture(scope="module", params=["tiny", "campplus"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    """Return an encoder of either stem with random weights."""
    torch.manual_seed(0)
    config: EncoderConfig = preset("tiny") if request.param == "tiny" else campplus(layers=1, loudness=0.2)
    return Encoder(config).eval()


@pytest.fixture
def kept(encoder: Encoder, make_clips: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path]:
    """Return a folder of clips, and one of their frames."""
    clips = make_clips(tracks=4, clips=2, pairs=True)
    for shard in sorted(clips.glob("*.parquet")):
        table = pq.read_table(shard)
        for column in ("audio", "pair_audio"):
            number = table.schema.get_field_index(column)
            waves, lengths = pad([wave_of(data) for data in table[column].to_pylist()])
            table = table.set_column(number, column, [trunk.frames_of(encoder, waves, RATE, lengths)])
        pq.write_table(table, tmp_path / shard.name, row_group_size=5)
    return clips, tmp_path


def wave_of(data: bytes) -> torch.Tensor:
    return torch.from_numpy(soundfile.read(io.BytesIO(data), dtype="float32")[0])


def test_whole_clips_get_the_encoders_own_vectors(encoder: Encoder, kept: tuple[Path, Path]) -> None:
    audio, frames = (ClipShards.open(folder) for folder in kept)
    assert frames.has_pairs
    crops = [audio.crop(i, 0.0, 9.0) for i in range(8)]
    waves, lengths = pad([torch.from_numpy(wave) for wave, _ in crops])
    found, n_frames = pad([frames.crop(i, 0.0, 9.0)[0] for i in range(8)])
    assert found.shape[2] == encoder.config.width + 1
    with torch.no_grad():
        expected = encoder(waves, RATE, lengths)
        assert (trunk.embed(encoder, found, n_frames) * expected).sum(1).min() > 0.9999
        if encoder.sample_rate_hz == RATE:
            assert torch.allclose(trunk.embed(encoder, waves, lengths), expected, atol=1e-6)


def test_a_crop_is_a_stretch_of_the_stored_frames(kept: tuple[Path, Path]) -> None:
    frames = ClipShards.open(kept[1])
    whole, half = frames.crop(3, 0.0, 1.5)[0], frames.crop(3, 1.0, 0.75)[0]
    assert len(half) == round(len(whole) / 2)
    assert (half == whole[len(whole) - len(half) :]).all()
    assert len(frames.crop(3, 0.5, 1e-6)[0]) == 1


def test_training_works_on_the_frames_of_a_frozen_trunk(
    encoder: Encoder, kept: tuple[Path, Path], tmp_path: Path
) -> None:
    checkpoint.save(encoder, tmp_path / "start", {}, "", half=False)
    fast: dict[str, Any] = {"batch": 4, "steps": 2, "warmup": 0, "precision": "float32", "whiten": 0.5, "held_out": 0.5}
    views = {"crop_s": 0.7, "pair_share": 0.5, "positives": "singer", "same_singer": "group"}
    groups = {"recipe": "groups", "init": str(tmp_path / "start"), "views": views, "objectives": {"one_singer": 1}}
    config = TrainConfig.model_validate(groups | fast)
    assert config.keeps_frames
    names = {f"track{i}": f"{i // 2}" for i in range(4)}
    trainer = Trainer(config, ClipShards.open(kept[1]), names, 0, 1, CPU)
    before = {name: weight.clone() for name, weight in trainer.learner.encoder.named_parameters()}
    for step, batches in trainer.batches():
        assert trainer.step(step, batches)["prototypical"] > 0
    changed = {name for name, weight in trainer.learner.encoder.named_parameters() if (weight != before[name]).any()}
    assert {name.split(".")[0] for name in changed} == {"pool", "head"}
    trainer.finish()


def test_the_head_is_whitened_by_its_vectors_of_the_stored_frames(encoder: Encoder, kept: tuple[Path, Path]) -> None:
    config = TrainConfig(recipe="groups").views.model_copy(update={"positives": "clip", "same_singer": "track"})
    views = ViewDataset(ClipShards.open(kept[1]), config, encoder.sample_rate_hz, 4, 0)
    outputs = head_outputs(encoder, [views[0]])
    unit = torch.nn.functional.normalize(outputs, dim=1)
    assert torch.allclose(unit, trunk.embed(encoder, views[0].waves, views[0].lengths), atol=1e-6)
