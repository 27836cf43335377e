"""The worker on unusual sets: one bad file, crop or condition costs only itself."""

from pathlib import Path

import numpy as np
import soundfile

from pipeline.evaluate import adapters, datasets, embedding, vectors
from pipeline.store import tables
from tests.pipeline.evaluate.conftest import RATE_HZ, SETTINGS, embed, keyed, make_set, sung


def test_silent_crops_and_bad_files_are_reported_and_the_rest_is_embedded(tmp_path, make_config, workspace):
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
    """An encoder that refuses crops below a second, as ours refuses those below its shortest clip."""

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
    worker = embedding.Embedding(config.workspace, config.evaluate, {})
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


def test_a_condition_that_a_recording_cannot_have_costs_only_itself(tmp_path, make_config, workspace):
    config = make_config(evaluate=SETTINGS)
    (tmp_path / "set/ann").mkdir(parents=True)
    soundfile.write(tmp_path / "set/ann/a.wav", sung(200), RATE_HZ)
    found = [(vectors.recording_key(r, config.evaluate), r, None) for r in datasets.read("folder", tmp_path / "set")]
    ids = {"mfcc": adapters.load("mfcc").encoder_id}
    todo = vectors.pending(workspace, found, ids, ("mix", "clean"), config.evaluate)
    worker = embedding.Embedding(config.workspace, config.evaluate, {"mfcc": "mfcc"})
    assert worker(todo)["error"].to_pylist() == ["condition"]
    assert "mix: it has no accompaniment" in tables.read(workspace, "failures")["message"][0]
    left = vectors.pending(workspace, found, ids, ("mix", "clean"), config.evaluate)
    assert '[["mfcc", "mix"]]' in left["job"][0].as_py()


def test_given_stretches_are_cut_exactly(tmp_path, make_config, workspace):
    config = make_config(evaluate=SETTINGS)
    make_set(tmp_path / "set")
    spans = ((0.5, 2.0), (0.0, None))
    recording = datasets.read("karaoke", tmp_path / "set")[0]
    key = vectors.recording_key(recording, config.evaluate, spans)
    ids = {"mfcc": adapters.load("mfcc").encoder_id}
    todo = vectors.pending(workspace, [(key, recording, spans)], ids, ("clean",), config.evaluate)
    embedding.Embedding(config.workspace, config.evaluate, {"mfcc": "mfcc"})(todo)
    crops = vectors.crops_of(workspace, [key])
    assert crops[["start_s", "end_s"]].to_numpy().tolist() == [[0.5, 2.0], [0.0, 4.0]]
