import csv

import numpy as np
import pytest

from pipeline.demo.catalogue import SILENT_S, TRUNCATED_PART, make, render_catalogue
from pipeline.demo.plan import Truth, plan
from pipeline.sections import RenderConfig
from pipeline.sound.audio import read
from pipeline.sound.probe import probe
from pipeline.store.errors import Problem

CONFIG = RenderConfig(singers=3, songs=2, song_s=8.0)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Return the folder, its truth by kind (songs as a list), and the lines of progress."""
    folder, lines = tmp_path_factory.mktemp("music"), []
    rows = render_catalogue(folder, CONFIG, lines.append)
    return folder, rows, lines


def one(rendered, kind):
    folder, rows, _ = rendered
    (row,) = [row for row in rows if row.kind == kind]
    return folder / row.file, row


def test_every_planned_file_exists_and_progress_was_reported(rendered):
    folder, rows, lines = rendered
    assert [row.file for row in rows] == [item.file for item in plan(CONFIG).items]
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {row.file for row in rows} | {"truth.csv", "known.csv"}
    assert len(lines) == len(rows)
    assert lines[-1].startswith(f"{len(rows)}/{len(rows)} ")


def test_songs_are_as_long_as_the_truth_says_and_not_silent(rendered):
    folder, rows, _ = rendered
    songs = [row for row in rows if row.kind in ("song", "duet", "instrumental")]
    assert len(songs) == 8
    for row in songs:
        audio = read(folder / row.file, 16000, 1)
        assert audio.duration_s == pytest.approx(row.duration_s, abs=0.15), row.file
        assert np.isfinite(audio.samples).all()
        assert 0.2 < np.abs(audio.samples).max() <= 1.05
        assert row.expected == ("instrumental" if row.kind == "instrumental" else "vocalist")
        assert bool(row.singer) == (row.kind != "instrumental")


def test_tables_on_disk_equal_the_returned_ones(rendered):
    folder, rows, _ = rendered
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        assert [Truth(**row) for row in csv.DictReader(file)] == rows
    with (folder / "known.csv").open(encoding="utf-8", newline="") as file:
        known = list(csv.DictReader(file))
    assert [set(row) for row in known] == [{"track", "vocalist"}] * 2
    singers = {row.file: row.singer for row in rows}
    assert all(singers[row["track"]] == row["vocalist"] for row in known)


def test_tags_are_those_of_the_truth(rendered):
    folder, rows, _ = rendered
    tagged = [row for row in rows if row.artist_tag]
    assert tagged
    for row in tagged:
        assert probe(folder / row.file).tags["artist"] == row.artist_tag


def test_a_duet_has_two_singers(rendered):
    _, row = one(rendered, "duet")
    assert len(set(row.singer.split("+"))) == 2


def test_the_duplicate_is_the_same_audio_under_another_name_without_the_artist(rendered):
    folder, rows, _ = rendered
    path, row = one(rendered, "duplicate")
    same = [r for r in rows if r.kind == "song" and probe(folder / r.file).track_id == probe(path).track_id]
    assert [r.singer for r in same] == [row.singer]
    assert row.duration_s == same[0].duration_s
    assert "artist" not in probe(path).tags


def test_the_empty_file_and_the_text_cannot_be_read(rendered):
    empty, row = one(rendered, "empty")
    assert row.expected == "unreadable"
    assert empty.stat().st_size == 0
    text, row = one(rendered, "text")
    assert (text.suffix, row.expected) == (".mp3", "unreadable")
    assert "la la la" in text.read_text()
    for path in (empty, text):
        with pytest.raises(Problem):
            read(path, 16000, 1)


def test_the_truncated_file_is_shorter_than_its_header_says(rendered):
    path, row = one(rendered, "truncated")
    found = probe(path)
    decoded_s = read(path, 44100, 2).duration_s
    assert decoded_s == pytest.approx(row.duration_s, rel=0.1)
    assert found.duration_s == pytest.approx(decoded_s, abs=0.2)
    assert found.note is not None
    assert f"{decoded_s / TRUNCATED_PART:.0f}" in found.note


def test_the_silent_track_is_silent_and_long(rendered):
    path, row = one(rendered, "silent")
    audio = read(path, 44100, 2)
    assert not audio.samples.any()
    assert audio.duration_s == row.duration_s == SILENT_S


def test_the_real_song_is_ten_seconds_of_music(rendered):
    path, row = one(rendered, "real")
    assert (row.singer, row.expected) == ("", "vocalist")
    audio = read(path, 44100, 2)
    assert audio.duration_s == pytest.approx(10.0, abs=1.0)
    assert audio.samples.std() > 0.01


def test_any_number_of_workers_makes_the_same_music(rendered, tmp_path):
    folder, rows, _ = rendered
    items = plan(CONFIG).items
    for item in [item for item in items if item.kind in ("song", "truncated")][::-1]:
        (tmp_path / item.file).parent.mkdir(parents=True, exist_ok=True)
        row = make(tmp_path, item, CONFIG)
        assert row in rows
        # Ogg streams carry a number from the clock, so they are compared by their audio.
        assert probe(tmp_path / item.file).track_id == probe(folder / item.file).track_id
        if not item.file.endswith(".ogg"):
            assert (tmp_path / item.file).read_bytes() == (folder / item.file).read_bytes()
