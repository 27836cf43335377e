import io
import json
import shutil

import pandas as pd
import pytest

from jobs import search
from pipeline.store import tables


def test_a_search_by_a_file_of_the_catalogue(chain_workspace, capsys):
    voices = tables.keys(chain_workspace, "voices", "track_id")
    tracks = tables.read(chain_workspace, "tracks")
    uri = tracks.loc[tracks["track_id"].isin(voices), "uri"].iloc[0]
    assert search.main([chain_workspace.root, "--like", uri, "-k", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].split()[:3] == ["rank", "score", "vocalist"]
    assert uri not in "".join(lines[1:])


def test_a_file_from_outside_is_embedded_by_the_same_code(chain_workspace, tmp_path, capsys):
    """A copy with other tags is the same music, so it has exactly the voice that the catalogue has."""
    voices, vectors = tables.read_voices(chain_workspace)
    tracks = tables.read(chain_workspace, "tracks").set_index("track_id")
    track_id = voices["track_id"][0]
    copy = tmp_path / f"copy{tracks.at[track_id, 'uri'][-5:]}"
    shutil.copyfile(tracks.at[track_id, "uri"], copy)
    found_id, vector = search.search.voice_of_file(chain_workspace, str(copy))
    assert found_id == track_id
    assert float(vector @ vectors[0]) > 0.999
    assert search.main([chain_workspace.root, "--like", str(copy), "-k", "2", "--json"]) == 0
    assert track_id not in {row["track_id"] for row in json.loads(capsys.readouterr().out)}


def test_a_file_that_is_not_audio_is_reported(chain_workspace, tmp_path, capsys):
    (tmp_path / "text.mp3").write_text("no music")
    assert search.main([chain_workspace.root, "--like", str(tmp_path / "text.mp3")]) == 2
    assert "has no voice to search by" in capsys.readouterr().err


def test_a_search_by_vocalist_as_csv(chain_workspace, capsys):
    name = tables.read(chain_workspace, "tags")["vocalist"].dropna().iloc[0]
    assert search.main([chain_workspace.root, "--vocalist", name, "--csv"]) == 0
    frame = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(frame.columns) == ["rank", "score", "vocalist", "artist", "title", "uri", "track_id"]
    assert name not in set(frame["vocalist"])


@pytest.mark.parametrize("arguments", [["--like", "no-such-track"], ["--vocalist", "Nobody At All"]])
def test_an_unknown_track_or_vocalist_is_reported(chain_workspace, arguments, capsys):
    assert search.main([chain_workspace.root, *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_batch_answers_line_by_line_and_reports_lines_it_cannot_answer(chain_workspace, tmp_path, capsys):
    ids = sorted(tables.keys(chain_workspace, "voices", "track_id"))[:3]
    (tmp_path / "batch.txt").write_text("\n".join([ids[0], "", "no-such-track", ids[1]]) + "\n")
    assert search.main([chain_workspace.root, "--batch", str(tmp_path / "batch.txt"), "-k", "2", "--csv"]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("error: line 3: no-such-track")
    frame = pd.read_csv(io.StringIO(out))
    assert frame["question"].tolist() == [ids[0]] * 2 + [ids[1]] * 2
    assert (frame["question"] != frame["track_id"]).all()
    (tmp_path / "batch.txt").write_text(ids[2])
    assert search.main([chain_workspace.root, "--batch", str(tmp_path / "batch.txt"), "-k", "2"]) == 0
    assert search.main([chain_workspace.root, "--batch", str(tmp_path / "nowhere.txt")]) == 2


def test_long_texts_are_shortened_in_the_table_only():
    row = {
        "rank": 1,
        "score": 0.5,
        "vocalist": "V" * 99,
        "artist": "",
        "title": "T",
        "uri": "/x/" + "u" * 99,
        "track_id": "t",
    }
    frame = pd.DataFrame([row])
    assert max(map(len, search.render(frame, None).splitlines())) < 160
    assert json.loads(search.render(frame, "json")) == [row]


def test_a_title_is_neither_a_formula_nor_a_terminal_command():
    row = {
        "rank": 1,
        "score": -0.5,
        "vocalist": "@x",
        "artist": "A\x1b[31m",
        "title": "=1+1",
        "uri": "/x/\x07a\n.mp3",
        "track_id": "t",
    }
    frame = pd.DataFrame([row])
    assert search.render(frame, None).replace("\n", "").isprintable()
    assert len(search.render(frame, None).splitlines()) == 2
    safe = pd.read_csv(io.StringIO(search.render(frame, "csv"))).iloc[0]
    assert [safe["vocalist"], safe["title"], safe["score"]] == ["'@x", "'=1+1", -0.5]
