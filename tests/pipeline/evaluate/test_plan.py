"""The plan that follows from a config: sets, singers, encoders, files of trials, and what is missing."""

import json

import numpy as np
import pytest
import soundfile

from pipeline.evaluate import plan
from pipeline.sections import SetConfig
from pipeline.store.errors import ConfigError


def write(path, seconds: float = 2.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(
        path, 0.1 * np.random.default_rng(list(str(path).encode())).normal(size=round(seconds * 8000)), 8000
    )


@pytest.fixture
def folder(tmp_path):
    for name in ("ann/a.wav", "ann/b.wav", "bob/a.wav"):
        write(tmp_path / "set" / name)
    return tmp_path / "set"


def config_of(make_config, folder, **settings):
    return make_config(evaluate={"encoders": ["mfcc"], "sets": [{"name": "s", "path": str(folder), **settings}]})


def test_a_plan_has_recordings_encoders_and_conditions(make_config, workspace, folder):
    made = plan.make(config_of(make_config, folder, conditions=["clean", "robustness"]), workspace)
    assert made.encoder_ids == {"mfcc": "mfcc-19"} and made.sources == {"mfcc": "mfcc"} and not made.failures
    assert [recording.name for _, recording, _ in made.sets[0].keyed] == ["ann/a.wav", "ann/b.wav", "bob/a.wav"]
    assert len({key for key, _, _ in made.sets[0].keyed}) == 3 and "clean/mp3_64k" in made.sets[0].conditions


def test_the_same_audio_under_two_names_is_used_once_and_reported(make_config, workspace, folder):
    (folder / "cher").mkdir()
    (folder / "cher/copy.wav").write_bytes((folder / "ann/a.wav").read_bytes())
    made = plan.make(config_of(make_config, folder), workspace)
    assert [recording.name for _, recording, _ in made.sets[0].keyed] == ["ann/a.wav", "ann/b.wav", "bob/a.wav"]
    told = [(row["key"], row["error"], row["message"]) for row in made.failures]
    assert told == [("s/cher/copy.wav", "duplicate", "the same audio as ann/a.wav; it is left out")]


def test_a_missing_encoder_is_reported_and_the_others_are_planned(make_config, workspace, folder, tmp_path):
    config = make_config(
        evaluate={"encoders": ["mfcc", str(tmp_path / "none")], "sets": [{"name": "s", "path": str(folder)}]}
    )
    made = plan.make(config, workspace)
    assert list(made.encoder_ids) == ["mfcc"] and "no encoder at" in made.unavailable[str(tmp_path / "none")]
    assert made.failures[0]["error"] == "unavailable"


def test_singers_are_chosen(make_config, workspace, folder, monkeypatch, tmp_path):
    made = plan.make(config_of(make_config, folder, singers=["bob"]), workspace)
    assert [recording.singer for _, recording, _ in made.sets[0].keyed] == ["bob"]
    monkeypatch.setattr(plan.encoder, "__file__", str(tmp_path / "encoder/__init__.py"))
    held_out = config_of(make_config, folder, singers="held_out")
    with pytest.raises(ConfigError, match="singers: held_out needs held_out_singers"):
        plan.make(held_out, workspace)
    (tmp_path / "encoder/default").mkdir(parents=True)
    (tmp_path / "encoder/default/metrics.json").write_text(json.dumps({"held_out_singers": ["ann"]}))
    assert {recording.singer for _, recording, _ in plan.make(held_out, workspace).sets[0].keyed} == {"ann"}


def test_trials_in_a_file_name_stretches_or_whole_files(make_config, workspace, folder):
    trials = folder.parent / "pairs.txt"
    write(folder / "cher/new.wav")
    trials.write_text(
        "1,ann/a.wav#t=0.500,1.500,ann/b.wav\n0,ann/a.wav,bob/a.wav\n0,ann/a.wav,gone/x.wav\n".replace(
            "ann/a.wav#t=0.500,1.500", '"ann/a.wav#t=0.500,1.500"'
        )
    )
    made = plan.make(config_of(make_config, folder, trials=str(trials), singers=["ann", "bob"]), workspace)
    planned = made.sets[0]
    crops = {recording.name: spans for _, recording, spans in planned.keyed}
    assert crops == {"ann/a.wav": ((0.5, 1.5), (0.0, None)), "ann/b.wav": ((0.0, None),), "bob/a.wav": ((0.0, None),)}
    key_of = {recording.name: key for key, recording, _ in planned.keyed}
    assert planned.items == [
        (key_of["ann/a.wav"], 0),
        (key_of["ann/b.wav"], 0),
        (key_of["ann/a.wav"], 1),
        (key_of["bob/a.wav"], 0),
        ("", 0),
    ]
    assert [(row["key"], row["error"]) for row in made.failures] == [("s/gone/x.wav", "missing")]


def test_the_default_sets_are_those_of_the_docs_or_the_workspace(make_config):
    karaoke, previews = plan.sets_of(make_config(evaluate={"audio": "/music"}))
    assert (karaoke.path, karaoke.singers, previews.tasks) == (
        "/music/karaoke",
        "held_out",
        ("similarity", "retrieval"),
    )
    own = plan.sets_of(make_config())
    assert [(chosen.reader, chosen.name) for chosen in own] == [("workspace", "workspace")]


def test_a_set_with_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="unknown task guessing; there are similarity"):
        SetConfig(name="s", path="p", tasks=("guessing",))
