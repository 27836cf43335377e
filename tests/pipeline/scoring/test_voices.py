import numpy as np
import pytest

from encoder import DEFAULT, load
from pipeline.scoring import voices
from pipeline.scoring.backend import Backend
from pipeline.store import tables
from pipeline.store.errors import ConfigError


def write(workspace, encoder_id: str = "e", dim: int = 8) -> np.ndarray:
    """Write three tracks of two clips each, and their voices; return the clips' vectors."""
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(6, dim))
    clips /= np.linalg.norm(clips, axis=1, keepdims=True)
    tables.write(
        workspace,
        "embeddings",
        [
            {
                "clip_id": str(i),
                "track_id": f"t{2 - i // 2}",
                "start_s": 0.0,
                "end_s": 4.0,
                "encoder_id": encoder_id,
                "embedding": vector.tolist(),
            }
            for i, vector in enumerate(clips)
        ],
        "a",
    )
    for i in range(3):
        mean = clips[2 * i : 2 * i + 2].mean(0)
        length = np.linalg.norm(mean)
        row = {
            "track_id": f"t{2 - i}",
            "encoder_id": encoder_id,
            "n_clips": 2,
            "spread": float(1 - length),
            "embedding": (mean / length).tolist(),
        }
        tables.write(workspace, "voices", [row], str(i))
    return clips


def test_voices_are_sorted_by_track_and_are_the_means_of_their_clips(workspace):
    clips = write(workspace)
    found, _ = voices.read(workspace)
    assert found.track_ids.tolist() == ["t0", "t1", "t2"]
    assert found.seconds.tolist() == [8, 8, 8]
    np.testing.assert_allclose(found.means[2], clips[:2].mean(0), atol=1e-6)


def test_clips_hold_no_more_singing_than_their_track(workspace):
    write(workspace)
    tables.write(workspace, "vocals", [{"track_id": "t0", "voiced_s": 2.0}, {"track_id": "t1", "voiced_s": 60.0}], "a")
    assert voices.read(workspace)[0].seconds.tolist() == [2, 8, 8]
    clips, _ = tables.read_embeddings(workspace)
    assert voices.singing_in(workspace, clips)[clips["track_id"] == "t0"].tolist() == [1, 1]


def test_an_encoder_without_calibration_is_normalised_by_the_catalogues_clips(workspace):
    write(workspace)
    _, backend = voices.read(workspace)
    assert not voices.is_calibrated(workspace, "e")
    found, _ = voices.read(workspace)
    np.testing.assert_allclose(backend.mean, found.means.mean(0) * 3 / 13)
    assert not np.allclose(backend.matrix, np.eye(8))


def test_an_owners_calibration_is_found(workspace):
    write(workspace)
    own = Backend(np.ones(8), np.eye(8), encoder_id="e", variance=1.0)
    workspace.write_bytes(voices.calibration_name("e"), own.to_bytes())
    _, backend = voices.read(workspace)
    assert voices.is_calibrated(workspace, "e")
    assert (backend.mean == 1).all()


def test_a_broken_calibration_is_reported(workspace):
    write(workspace)
    workspace.write_bytes(voices.calibration_name("e"), b"broken")
    with pytest.raises(ConfigError, match="encoders/e/calibration"):
        voices.read(workspace)


def test_the_shipped_encoder_is_calibrated(workspace):
    encoder_id = load("default").encoder_id
    backend = voices.backend(workspace, encoder_id, 192)
    assert Backend.from_bytes((DEFAULT / "calibration.safetensors").read_bytes()).encoder_id == encoder_id
    assert backend.encoder_id == encoder_id
    assert backend.matrix.shape == (192, 192)


def test_voices_of_two_encoders_are_refused(workspace):
    write(workspace)
    tables.write(workspace, "voices", [{"track_id": "x", "encoder_id": "f", "embedding": [1.0] + [0.0] * 7}], "x")
    with pytest.raises(ConfigError, match="several encoders"):
        voices.read(workspace)


def test_an_empty_workspace_has_no_voices(workspace):
    found, _ = voices.read(workspace)
    assert len(found) == 0


def test_what_was_learned_is_used_until_there_is_another_calibration(workspace):
    write(workspace)
    taught = Backend(np.ones(8), 2 * np.eye(8), encoder_id="e")
    workspace.write_bytes(voices.taught_name(workspace, "e"), taught.to_bytes())
    np.testing.assert_array_equal(voices.read(workspace)[1].matrix, taught.matrix)
    assert not np.allclose(voices.read(workspace, taught=False)[1].matrix, taught.matrix)
    own = Backend(np.zeros(8), np.eye(8), encoder_id="e", variance=1.0)
    workspace.write_bytes(voices.calibration_name("e"), own.to_bytes())
    np.testing.assert_array_equal(voices.read(workspace)[1].matrix, own.matrix)


def test_the_clips_of_some_tracks(workspace):
    clips = write(workspace)
    found, _ = voices.read(workspace)
    some = voices.read_clips(workspace, found, {"t2", "t0", "elsewhere"})
    assert some.track.tolist() == [2, 2, 0, 0]
    assert some.seconds.tolist() == [4.0] * 4 and some.start_s.tolist() == [0.0] * 4
    np.testing.assert_allclose(some.vectors, clips[[0, 1, 4, 5]], atol=1e-6)
    assert voices.read_clips(workspace, found, set()).vectors.shape == (0, 8)
