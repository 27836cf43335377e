"""Stored frames of the catalogue's clips: an encoder gives the same vectors for them as for the clips."""

import numpy as np
import pytest
import torch

from encoder import Encoder
from encoder.config import preset
from encoder.training.data import ClipShards
from jobs import frames
from pipeline.store import tables
from tests.jobs.test_train import write_clips


@pytest.fixture(scope="module")
def model() -> Encoder:
    """Return a tiny encoder with random weights."""
    torch.manual_seed(0)
    return Encoder(preset("tiny")).eval()


@pytest.mark.usefixtures("ray_cluster")
def test_voices_of_stored_frames_equal_those_of_the_clips(workspace, model):
    write_clips(workspace)
    kept = frames.keep(workspace, model)
    by_frames = frames.hear(workspace, kept, model)
    by_clips = frames.hear(workspace, tables.parts(workspace, "clips"), model)
    assert by_clips.voices.track_ids.tolist() == [str(track) for track in range(8)]
    assert by_clips.voices.seconds.tolist() == [3.0] * 8 and by_clips.clips.degrees == 16
    assert by_clips.teaching.seconds.tolist() == [2.0] * 8 and by_clips.testing.seconds.tolist() == [1.0] * 8
    both = (2 * by_clips.teaching.means + by_clips.testing.means) / 3
    np.testing.assert_allclose(both, by_clips.voices.means, atol=1e-6)
    with torch.no_grad():
        shards = ClipShards.open([workspace.path(tables.parts(workspace, "clips")[0])])
        wave, rate = shards.crop(0, 0.0, 9.0)
        first = model(torch.from_numpy(wave)[None], rate)[0].numpy()
    others = [frames.hear(workspace, kept, model).voices.means[0] for _ in range(1)]
    assert others[0] @ first > 0.9
    np.testing.assert_allclose(by_frames.voices.means, by_clips.voices.means, atol=2e-3)
    np.testing.assert_allclose(by_frames.clips.squares, by_clips.clips.squares, atol=2e-2)


@pytest.mark.usefixtures("ray_cluster")
def test_frames_are_computed_once_and_again_if_clips_have_changed(workspace, model):
    write_clips(workspace)
    (name,) = frames.keep(workspace, model)
    (part,) = tables.parts(workspace, "clips")
    assert frames.is_kept(workspace, part, name)
    workspace.write_bytes(name, marked := workspace.read_bytes(name))
    assert frames.keep(workspace, model) == [name]
    assert workspace.read_bytes(name) == marked
    rows = tables.read(workspace, "clips")
    tables.write(workspace, "clips", rows.assign(start_s=rows["start_s"] + 0.1).to_dict("records"), "all")
    assert not frames.is_kept(workspace, part, name)
    frames.keep(workspace, model)
    assert frames.is_kept(workspace, part, name)
