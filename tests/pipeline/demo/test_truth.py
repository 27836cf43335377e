from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

import encoder
from encoder.config import preset
from pipeline.demo import truth
from pipeline.sound import audio
from pipeline.sound.audio import Audio
from pipeline.store import tables
from pipeline.store.errors import ConfigError

SONGS = {"a1": "Ada", "a2": "Ada", "a3": "Ada", "b1": "Ben", "b2": "Ben", "c1": "Cy", "c2": "Cy"}


@pytest.fixture
def expected(tmp_path) -> pd.DataFrame:
    rows = [{"file": f"{name}.mp3", "singer": singer, "expected": "vocalist"} for name, singer in SONGS.items()]
    rows += [
        {"file": "copy.mp3", "singer": "Ada", "expected": "duplicate"},
        {"file": "duet.mp3", "singer": "Ada+Ben", "expected": "vocalist"},
        {"file": "band.mp3", "singer": "", "expected": "instrumental"},
        {"file": "text.mp3", "singer": "", "expected": "unreadable"},
        {"file": "still.wav", "singer": "", "expected": "silent"},
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "truth.csv", index=False)
    return truth.read_truth(tmp_path / "truth.csv")


@pytest.fixture
def run(workspace, expected, tmp_path):
    """Return a finished run in which c2 was taken to be by Ben."""
    uri = {name: str(tmp_path / f"{name}.mp3") for name in [*SONGS, "copy", "duet", "band"]}
    uri["still"] = str(tmp_path / "still.wav")
    track = {name: "a1" if name == "copy" else name for name in uri}
    tables.write(workspace, "files", [{"uri": uri[name], "track_id": track[name]} for name in uri], "p")
    tables.replace(workspace, "tracks", [{"uri": uri[name], "track_id": name} for name in uri if name != "copy"])
    tables.write(
        workspace,
        "vocals",
        [{"track_id": name, "has_vocals": name != "band"} for name in [*SONGS, "duet", "band"]],
        "p",
    )
    now = datetime.now(UTC)
    tables.write(
        workspace,
        "failures",
        [
            {
                "stage": "scan",
                "key": "k",
                "uri": str(tmp_path / "text.mp3"),
                "error": "decode",
                "message": "not audio",
                "failed_at": now,
            },
            {
                "stage": "separate",
                "key": "still",
                "track_id": "still",
                "error": "silent",
                "message": "nothing",
                "failed_at": now,
            },
        ],
        "p",
    )
    heard = SONGS | {"c2": "Ben", "duet": "Ada"}
    number = {"Ada": 0, "Ben": 1, "Cy": 2}
    tables.replace(workspace, "clusters", [{"track_id": k, "cluster_id": number[v]} for k, v in heard.items()])
    name = {"Ada": "Ada", "Ben": "Ben", "Cy": "voice-0001"}
    tables.replace(workspace, "tags", [{"track_id": k, "vocalist": name[v]} for k, v in heard.items()])
    return {uri["a1"], uri["b1"]}


def test_each_file_is_compared_with_its_expectation(workspace, expected, run):
    found = truth.outcomes(workspace, expected).set_index("file")
    assert found["found"].to_dict() == {
        **{f"{name}.mp3": "vocalist" for name in SONGS},
        "copy.mp3": "duplicate",
        "duet.mp3": "vocalist",
        "band.mp3": "instrumental",
        "text.mp3": "unreadable",
        "still.wav": "silent",
    }
    assert found.loc["text.mp3", "message"] == "not audio"


def test_the_scores_count_the_mistakes(workspace, expected, run):
    found = truth.compare(workspace, expected, run)
    assert (found.files, found.as_expected) == (12, 12)
    assert (found.singers, found.tracks) == (3, 7)
    # Ada 3 of 3; the cluster of Ben holds b1, b2, c2; c1 is alone.
    assert found.bcubed_f1 == pytest.approx(2 / (1 / ((3 + 2 * 2 / 3 + 1 / 3 + 1) / 7) + 1 / ((5 + 0.5 + 0.5) / 7)))
    assert 0 < found.ari < 1
    assert (found.named_accuracy, found.named_tracks) == (1.0, 3)
    assert found.grouped_accuracy == pytest.approx(4 / 5)
    assert any("12 of 12 files" in line for line in found.lines())


def test_mistakes_are_listed_file_by_file(workspace, expected, run):
    expected = expected.assign(
        artist_tag=expected["singer"]
        .mask(expected["file"] == "b2.mp3", "Ada")
        .mask(expected["file"] == "a3.mp3", "Ben")
    )
    tags = tables.read(workspace, "tags").assign(source="enrolled", probability=0.97)
    tags["disagrees"] = tags["track_id"].isin(["b2", "a2"])
    tags.loc[tags["track_id"].isin(["c1", "b2"]), ["vocalist", "source"]] = "voice-0001", "cluster"
    tables.replace(workspace, "tags", tags)
    lines = truth.mistakes(workspace, expected)
    assert lines[:4] == [
        "1 of 6 named tracks have a wrong name",
        "  c2.mp3: Ben, 97% sure",
        "1 of 5 tracks by those vocalists have no name",
        "  b2.mp3: voice-0001",
    ]
    assert lines[4:6] == ["1 of 1 voice-… hold several singers", "  voice-0001: Ben, Cy"]
    assert "1 of 2 wrong artist tags found, 1 right ones called wrong" in lines
    assert "  a3.mp3: the tag Ben is wrong and was believed" in lines
    assert "  a2.mp3: the tag Ada is right and was called wrong" in lines


def test_a_file_that_no_stage_has_seen_is_not_as_expected(workspace, expected):
    found = truth.outcomes(workspace, expected)
    assert set(found["found"]) == {"not seen"}


def test_tags_are_matched_to_singers_one_to_one():
    singers = pd.Series(["a", "a", "b", "b", "c"])
    assert truth.best_match_accuracy(singers, pd.Series(["x", "x", "y", "y", "z"])) == 1
    assert truth.best_match_accuracy(singers, pd.Series(["x"] * 5)) == 0.4
    assert truth.best_match_accuracy(singers, pd.Series([""] * 5)) == 0


def test_an_unusable_truth_file_is_reported(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.csv"):
        truth.read_truth(tmp_path / "nowhere.csv")
    (tmp_path / "t.csv").write_text("file,singer\n")
    with pytest.raises(ConfigError, match="lacks the column expected"):
        truth.read_truth(tmp_path / "t.csv")


def test_an_untrained_encoder_has_an_equal_error_rate_of_its_own(workspace):
    rng = np.random.default_rng(0)
    clips = [
        {
            "clip_id": f"{name}-0",
            "track_id": name,
            "start_s": 0.0,
            "end_s": 1.0,
            "sample_rate_hz": 16000,
            "audio": audio.flac_bytes(Audio(rng.normal(0, 0.1, (1, 16000)).astype(np.float32), 16000)),
        }
        for name in SONGS
    ]
    tables.write(workspace, "clips", clips, "p")
    found = pd.DataFrame({"track_id": list(SONGS), "singer": list(SONGS.values())})
    encoder_id, rate = truth.encoder_eer(workspace, found, encoder.Encoder(preset("tiny")).eval())
    assert encoder_id == "tiny-untrained"
    assert 0.1 < rate < 0.9
