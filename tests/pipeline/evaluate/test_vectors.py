"""Embeddings of sets: each made once, found again by content, and nothing lost for one bad crop."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile

from pipeline.evaluate import adapters, datasets, vectors
from pipeline.store import tables

RATE_HZ = 16000
SETTINGS = {"crop_s": 1.0, "crops_per_recording": 3, "sample_rate_hz": RATE_HZ}


def sung(f0_hz: float, seconds: float = 4.0) -> np.ndarray:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.1 * sum(np.sin(2 * np.pi * f0_hz * k * time_s) / k for k in range(1, 9))).astype(np.float32)


def make_set(root: Path) -> None:
    """Two singers, a song each of two channels: accompaniment, voice."""
    for number, name in enumerate(("ann/a.wav", "bob/b.wav")):
        (root / name).parent.mkdir(parents=True)
        soundfile.write(root / name, np.stack([0.5 * sung(97), sung(200 + 80 * number)], 1), RATE_HZ)


def keyed(root: Path, config) -> list:
    found = datasets.read("karaoke", root)
    return [(vectors.recording_key(recording, config.evaluate), recording, None) for recording in found]


def embed(config, workspace, root: Path, names: tuple[str, ...], encoders: tuple[str, ...] = ("mfcc",)) -> pa.Table:
    """Embed what is missing, and return the outcomes."""
    ids = {name: adapters.load(name).encoder_id for name in encoders}
    todo = vectors.pending(workspace, keyed(root, config), ids, names, config.evaluate)
    return vectors.Embedding(config.workspace, config.evaluate, {name: name for name in encoders})(todo)


def test_vectors_are_those_of_the_encoder_on_the_crop(tmp_path, make_config, workspace):
    config = make_config(evaluate=SETTINGS)
    make_set(tmp_path / "set")
    outcomes = embed(config, workspace, tmp_path / "set", ("clean", "mix"))
    assert outcomes["status"].to_pylist() == ["done", "done"]
    keys = [key for key, _, _ in keyed(tmp_path / "set", config)]
    crops = vectors.crops_of(workspace, keys)
    assert len(crops) == 6 and (crops["end_s"] - crops["start_s"]).tolist() == pytest.approx([1.0] * 6)
    mfcc = adapters.load("mfcc")
    first = crops[crops["recording_key"] == keys[0]].iloc[1]
    for name, wave in (("clean", sung(200)), ("mix", 0.5 * sung(97) + sung(200))):
        found = vectors.vectors_of(workspace, crops, name, mfcc.encoder_id)
        assert found.shape[0] == 6 and np.isfinite(found).all()
        cut = wave[round(first["start_s"] * RATE_HZ) : round(first["end_s"] * RATE_HZ)]
        row = crops.index.get_loc(first.name)
        assert found[row] @ mfcc.embed([cut], RATE_HZ)[0] > 0.9999


def test_each_is_embedded_once_even_after_a_move(tmp_path, make_config, workspace):
    config = make_config(evaluate=SETTINGS)
    make_set(tmp_path / "set")
    embed(config, workspace, tmp_path / "set", ("clean",))
    shutil.move(tmp_path / "set", tmp_path / "elsewhere")
    ids = {"mfcc": adapters.load("mfcc").encoder_id}
    again = keyed(tmp_path / "elsewhere", config)
    assert len(vectors.pending(workspace, again, ids, ("clean",), config.evaluate)) == 0
    more = vectors.pending(workspace, again, ids, ("clean", "clean/crop_2s"), config.evaluate)
    assert len(more) == 2 and '["mfcc", "clean/crop_2s"]' in more["job"][0].as_py() and '"clean"]' not in str(more)
    soundfile.write(tmp_path / "elsewhere/ann/a.wav", np.stack([sung(97), sung(210)], 1), RATE_HZ)
    changed = keyed(tmp_path / "elsewhere", config)
    assert len(vectors.pending(workspace, changed, ids, ("clean",), config.evaluate)) == 1
    other = make_config(evaluate={**SETTINGS, "crop_s": 2.0})
    assert len(vectors.pending(workspace, keyed(tmp_path / "elsewhere", other), ids, ("clean",), other.evaluate)) == 2


def test_silent_crops_and_bad_files_are_told_and_the_rest_goes_on(tmp_path, make_config, workspace):
    config = make_config(evaluate=SETTINGS)
    make_set(tmp_path / "set")
    (tmp_path / "set/bob/broken.wav").write_bytes(b"RIFF nothing")
    soundfile.write(tmp_path / "set/bob/quiet.wav", np.zeros((3 * RATE_HZ, 2)), RATE_HZ)
    soundfile.write(tmp_path / "set/bob/mono.wav", sung(300), RATE_HZ)
    outcomes = embed(config, workspace, tmp_path / "set", ("clean",)).to_pandas().set_index("key")
    assert (outcomes["status"] == "done").sum() == 2 and (outcomes["status"] == "failed").sum() == 3
    failures = tables.read(workspace, "failures")
    told = {Path(row.uri).stem: row for row in failures.itertuples()}
    assert told["broken"].error == "decode" and told["quiet"].error == "silent" and told["mono"].error == "channels"
    assert "no audible voice" in told["quiet"].message


class Fussy:
    """An encoder that refuses crops of under a second, as ours does below its shortest clip."""

    encoder_id = "fussy"

    def embed(self, waves, sample_rate_hz):
        if any(len(wave) < sample_rate_hz for wave in waves):
            raise ValueError("too short")
        return np.ones((len(waves), 3), np.float32)


def test_a_crop_that_an_encoder_refuses_costs_only_itself(tmp_path, make_config, workspace):
    config = make_config(evaluate=SETTINGS)
    make_set(tmp_path / "set")
    soundfile.write(
        tmp_path / "set/bob/c.wav", np.stack([sung(97, 5), np.r_[sung(250, 2), np.zeros(3 * RATE_HZ)]], 1), RATE_HZ
    )
    worker = vectors.Embedding(config.workspace, config.evaluate, {})
    worker.adapters = {"fussy": Fussy()}
    names = ("clean", "clean/crop_0.5s")
    todo = vectors.pending(workspace, keyed(tmp_path / "set", config), {"fussy": "fussy"}, names, config.evaluate)
    worker(todo)
    crops = vectors.crops_of(workspace, [key for key, _, _ in keyed(tmp_path / "set", config)])
    assert np.isfinite(vectors.vectors_of(workspace, crops, "clean", "fussy")).all()
    assert np.isnan(vectors.vectors_of(workspace, crops, "clean/crop_0.5s", "fussy")).all()
    assert (
        len(vectors.pending(workspace, keyed(tmp_path / "set", config), {"fussy": "fussy"}, names, config.evaluate))
        == 0
    )


def test_a_condition_that_a_recording_cannot_have_leaves_the_others(tmp_path, make_config, workspace):
    config = make_config(evaluate=SETTINGS)
    (tmp_path / "set/ann").mkdir(parents=True)
    soundfile.write(tmp_path / "set/ann/a.wav", sung(200), RATE_HZ)
    found = [(vectors.recording_key(r, config.evaluate), r, None) for r in datasets.read("folder", tmp_path / "set")]
    ids = {"mfcc": adapters.load("mfcc").encoder_id}
    todo = vectors.pending(workspace, found, ids, ("mix", "clean"), config.evaluate)
    worker = vectors.Embedding(config.workspace, config.evaluate, {"mfcc": "mfcc"})
    assert worker(todo)["error"].to_pylist() == ["condition"]
    assert "mix: it has no accompaniment" in tables.read(workspace, "failures")["message"][0]
    left = vectors.pending(workspace, found, ids, ("mix", "clean"), config.evaluate)
    assert '[["mfcc", "mix"]]' in left["job"][0].as_py()


def test_given_stretches_are_cut_as_given(tmp_path, make_config, workspace):
    config = make_config(evaluate=SETTINGS)
    make_set(tmp_path / "set")
    spans = ((0.5, 2.0), (0.0, None))
    recording = datasets.read("karaoke", tmp_path / "set")[0]
    key = vectors.recording_key(recording, config.evaluate, spans)
    ids = {"mfcc": adapters.load("mfcc").encoder_id}
    todo = vectors.pending(workspace, [(key, recording, spans)], ids, ("clean",), config.evaluate)
    vectors.Embedding(config.workspace, config.evaluate, {"mfcc": "mfcc"})(todo)
    crops = vectors.crops_of(workspace, [key])
    assert crops[["start_s", "end_s"]].to_numpy().tolist() == [[0.5, 2.0], [0.0, 4.0]]


def test_nothing_yet_is_an_empty_answer(workspace):
    assert vectors.crops_of(workspace, ["a"]).empty
    none = vectors.vectors_of(workspace, pd.DataFrame({"recording_key": ["a"], "crop": [0]}), "clean", "mfcc")
    assert np.isnan(none).all()
