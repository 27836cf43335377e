import numpy as np

from jobs import calibrate, engine
from pipeline.scoring import voices
from pipeline.store import tables


def fill(workspace, singers: int, songs: int = 4) -> None:
    """Write clips, voices and artist tags of singers with this many songs of six clips."""
    rng = np.random.default_rng(0)
    for song in range(singers * songs):
        middle = np.random.default_rng([song // songs]).normal(size=24) + 0.8 * rng.normal(size=24)
        clips = middle + rng.normal(size=(6, 24))
        clips /= np.linalg.norm(clips, axis=1, keepdims=True)
        track_id, mean = f"{song:032x}", clips.mean(0)
        length = np.linalg.norm(mean)
        tables.write(
            workspace,
            "embeddings",
            [
                {
                    "clip_id": f"{track_id}-{i}",
                    "track_id": track_id,
                    "start_s": 5.0 * i,
                    "end_s": 5.0 * i + 5,
                    "encoder_id": "e",
                    "embedding": clip.tolist(),
                }
                for i, clip in enumerate(clips)
            ],
            track_id,
        )
        tables.write(
            workspace,
            "voices",
            [
                {
                    "track_id": track_id,
                    "encoder_id": "e",
                    "n_clips": 6,
                    "spread": float(1 - length),
                    "embedding": (mean / length).tolist(),
                }
            ],
            track_id,
        )
        tables.write(
            workspace,
            "tracks",
            [{"track_id": track_id, "uri": f"/{song}.mp3", "artist": f"Singer {song // songs}"}],
            track_id,
        )


def test_a_labelled_catalogue_calibrates_its_encoder(workspace, make_config, capsys):
    fill(workspace, singers=8)
    assert not voices.is_calibrated(workspace, "e")
    assert calibrate.run(make_config()) == 0
    assert "32 tracks by 8 singers" in capsys.readouterr().out
    assert voices.is_calibrated(workspace, "e")
    _, backend = voices.read(workspace)
    assert backend.mean.any()


def test_one_singer_is_too_few(workspace, make_config, capsys):
    fill(workspace, singers=1)
    assert engine.guarded(lambda: calibrate.run(make_config())) == 2
    assert "cannot be calibrated: calibration needs two singers" in capsys.readouterr().err
