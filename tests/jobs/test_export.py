import json

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open

from jobs import engine, export
from pipeline.store import provenance, tables
from pipeline.store.workspace import Workspace


def voices(workspace: Workspace, **vocalists: list[float]) -> None:
    """Write a track with a voice of two numbers for each vocalist, its tag, and no other."""
    rows = [
        {"track_id": f"of {name}", "encoder_id": "e", "n_clips": 1, "spread": 0.0, "embedding": voice}
        for name, voice in vocalists.items()
    ]
    tables.write(workspace, "voices", rows, "a")
    tables.write(
        workspace,
        "embeddings",
        [{"track_id": row["track_id"], "start_s": 0.0, "end_s": 5.0, "embedding": row["embedding"]} for row in rows],
        "a",
    )
    tables.replace(
        workspace,
        "tags",
        [{"track_id": f"of {name}", "vocalist": name, "source": "enrolled", "probability": 1.0} for name in vocalists],
    )


def matrix(workspace: Workspace) -> tuple[dict, torch.Tensor]:
    """Return what the file of vectors says about itself, and the vectors (vocalists, d)."""
    with safe_open(workspace.path("vocalists.safetensors"), "pt") as file:
        return json.loads(file.metadata()["vocatlas"]), file.get_tensor("embedding")


def test_the_table_and_the_matrix_say_the_same(workspace, make_config, capsys):
    voices(workspace, Ann=[1.0, 0.0], Bea=[0.6, 0.8])
    assert engine.execute(export.STAGE, make_config()) == 0
    assert "2 vocalists, 2 tracks, encoder e" in capsys.readouterr().out
    table = pd.read_parquet(workspace.path("conditioning"))
    about, vectors = matrix(workspace)
    assert about == {"encoder_id": "e", "vocalists": table["vocalist"].tolist()}
    np.testing.assert_array_equal(np.stack(table["embedding"]), vectors.numpy())
    singers = torch.nn.Embedding.from_pretrained(vectors)
    assert singers(torch.tensor(about["vocalists"].index("Bea"))).tolist() == vectors[1].tolist()


def test_it_is_the_same_again_and_follows_its_inputs_and_settings(workspace, make_config):
    voices(workspace, Ann=[1.0, 0.0], Bea=[0.6, 0.8])
    assert engine.execute(export.STAGE, make_config()) == 0
    names = ("conditioning/part-0.parquet", "vocalists.safetensors")
    first = [workspace.read_bytes(name) for name in names]
    assert engine.execute(export.STAGE, make_config()) == 0
    assert [workspace.read_bytes(name) for name in names] == first
    voices(workspace, Ann=[0.0, 1.0])
    assert engine.execute(export.STAGE, make_config(export={"trim": 0})) == 0
    about, vectors = matrix(workspace)
    assert (about["vocalists"], vectors.tolist()) == (["Ann"], [[0.0, 1.0]])
    assert tables.read(workspace, "conditioning")["vocalist"].tolist() == ["Ann"]


def test_without_voices_or_tags_it_says_what_to_run(workspace, make_config, capsys):
    assert engine.guarded(lambda: engine.execute(export.STAGE, make_config())) == 2
    assert "run the embed stage first" in capsys.readouterr().err
    voices(workspace, Ann=[1.0, 0.0])
    workspace.delete("tags")
    assert engine.guarded(lambda: engine.execute(export.STAGE, make_config())) == 2
    assert "run the tag stage first" in capsys.readouterr().err


def test_names_that_are_given_anew_take_the_vectors_with_them(workspace, make_config):
    """Another setting of tagging discards what hangs on the tags, the vectors too."""
    voices(workspace, Ann=[1.0, 0.0])
    provenance.claim(workspace, make_config(), "tag")
    assert engine.execute(export.STAGE, make_config()) == 0
    provenance.claim(workspace, make_config(tag={"min_probability": 0.9}, replace=True), "tag")
    assert not tables.parts(workspace, "conditioning")
    assert not workspace.exists("vocalists.safetensors")
