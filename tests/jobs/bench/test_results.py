import numpy as np
import pandas as pd
import pytest
import soundfile

from jobs.bench import results
from pipeline.store.errors import ConfigError

RATE = 16000


def noise(seconds: float, channels: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.3, 0.3, (round(seconds * RATE), channels))


@pytest.fixture
def recordings(tmp_path):
    """Write recordings in the three layouts."""
    for singer in ("amy", "bob"):
        (tmp_path / "in" / "karaoke" / singer).mkdir(parents=True)
        for song in (1, 2):
            soundfile.write(tmp_path / "in" / "karaoke" / singer / f"{song}.ogg", noise(1, 2, song), RATE)
    (tmp_path / "in" / "songs").mkdir()
    soundfile.write(tmp_path / "in" / "songs" / "Cy - Tune.ogg", noise(1, 2, 3), RATE)
    (tmp_path / "in" / "previews").mkdir()
    stems = noise(1, 4, 4)
    soundfile.write(tmp_path / "in" / "previews" / "Di - Sung.ogg", stems, RATE)
    stems[:, :2] *= 0.01
    soundfile.write(tmp_path / "in" / "previews" / "Ed - Played.ogg", stems, RATE)
    return tmp_path / "in"


def test_mixes_are_the_sums_of_their_stems_and_the_truth_names_the_singers(recordings, tmp_path):
    truth = results.mix_down(recordings, tmp_path / "out").set_index("file")
    assert truth["singer"].to_dict() == {
        "karaoke/amy/1.flac": "amy",
        "karaoke/amy/2.flac": "amy",
        "karaoke/bob/1.flac": "bob",
        "karaoke/bob/2.flac": "bob",
        "songs/Cy - Tune.ogg": "Cy",
        "previews/Di - Sung.flac": "",
        "previews/Ed - Played.flac": "",
    }
    assert truth.loc["previews/Ed - Played.flac", "expected"] == "instrumental"
    assert (truth["expected"] == "vocalist").sum() == 6
    stems, _ = soundfile.read(recordings / "karaoke" / "amy" / "1.ogg")
    mix, _ = soundfile.read(tmp_path / "out" / "karaoke" / "amy" / "1.flac")
    np.testing.assert_allclose(mix, 0.5 * stems.sum(axis=1), atol=1e-4)
    known = pd.read_csv(tmp_path / "out" / "known.csv")
    assert known.to_numpy().tolist() == [["karaoke/amy/1.flac", "amy"], ["karaoke/bob/1.flac", "bob"]]


def test_a_folder_without_recordings_is_reported(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no recordings"):
        results.mix_down(tmp_path / "empty", tmp_path / "out")
