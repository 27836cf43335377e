"""Embeddings of sets: each is computed once and found again by content."""

import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile

from pipeline.evaluate import adapters, vectors
from tests.pipeline.evaluate.conftest import RATE_HZ, SETTINGS, embed, keyed, make_set, sung


def test_vectors_equal_those_of_the_encoder_on_the_crop(tmp_path, make_config, workspace):
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


def test_each_crop_is_embedded_once_even_if_its_file_moves(tmp_path, make_config, workspace):
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


def test_without_embeddings_the_answer_is_empty(workspace):
    assert vectors.crops_of(workspace, ["a"]).empty
    none = vectors.vectors_of(workspace, pd.DataFrame({"recording_key": ["a"], "crop": [0]}), "clean", "mfcc")
    assert np.isnan(none).all()
