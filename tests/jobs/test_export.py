import json

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open

from jobs import cluster, engine, export, tag
from pipeline.stages import scan
from pipeline.store import provenance, tables
from pipeline.store.workspace import Workspace


def voices(workspace: Workspace, **vocalists: list[float]) -> None:
    """Write one track per vocalist, with a voice of two dimensions and a tag, and nothing else."""
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


def test_the_table_and_the_matrix_agree(workspace, make_config, capsys):
    voices(workspace, Ann=[1.0, 0.0], Bea=[0.6, 0.8])
    assert engine.execute(export.STAGE, make_config()) == 0
    assert "2 vocalists, 2 tracks, encoder e" in capsys.readouterr().out
    table = pd.read_parquet(workspace.path("conditioning"))
    about, vectors = matrix(workspace)
    assert about == {"encoder_id": "e", "vocalists": table["vocalist"].tolist()}
    np.testing.assert_array_equal(np.stack(table["embedding"]), vectors.numpy())
    singers = torch.nn.Embedding.from_pretrained(vectors)
    assert singers(torch.tensor(about["vocalists"].index("Bea"))).tolist() == vectors[1].tolist()


def test_it_changes_only_with_its_inputs_and_settings(workspace, make_config):
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


def test_other_settings_of_tag_discard_the_exported_vectors(workspace, make_config):
    """Other settings discard whatever depends on the tags, including the vectors."""
    voices(workspace, Ann=[1.0, 0.0])
    provenance.claim(workspace, make_config(), "tag")
    assert engine.execute(export.STAGE, make_config()) == 0
    provenance.claim(workspace, make_config(tag={"min_probability": 0.9}, replace=True), "tag")
    assert not tables.parts(workspace, "conditioning")
    assert not workspace.exists("vocalists.safetensors")


def test_tracks_whose_file_is_gone_or_replaced_are_in_no_answers(workspace, make_config, tmp_path):
    rng = np.random.default_rng(0)
    singers = rng.normal(size=(2, 16))
    music = tmp_path / "music"
    music.mkdir()
    rows = []
    for i in range(10):
        (music / f"{i}.mp3").write_bytes(bytes([i]))
        vector = singers[i % 2] + 0.2 * rng.normal(size=16)
        rows.append(
            {
                "track_id": f"{i:032x}",
                "encoder_id": "e",
                "n_clips": 1,
                "spread": 0.0,
                "embedding": vector / np.linalg.norm(vector),
            }
        )
    tables.write(workspace, "voices", rows, "a")

    def answered() -> pd.DataFrame:
        """Run the stages that give answers, on the files that are there; return the tags."""
        listing, _ = scan.list_catalogue(str(music), (".mp3",))
        scan.forget_absent(workspace, listing)
        scan.derive_tracks(workspace, listing)
        for stage in (cluster.STAGE, tag.STAGE, export.STAGE):
            assert engine.execute(stage, make_config(known=str(known), cluster={"umap": False})) == 0
        return tables.read(workspace, "tags")

    known = tmp_path / "known.csv"
    known.write_text("track,vocalist\n0.mp3,Ann\n")
    listing, _ = scan.list_catalogue(str(music), (".mp3",))
    files = listing.select(["uri", "size_bytes", "modified_at"]).to_pandas().sort_values("uri")
    tables.write(workspace, "files", files.assign(track_id=[row["track_id"] for row in rows]), "a")
    tags = answered()
    assert tags.groupby("vocalist").size().to_dict() == {"Ann": 5, "voice-0002": 5}
    (music / "2.mp3").unlink()
    (music / "5.mp3").write_bytes(b"another recording")
    tags = answered()
    assert tags["uri"].notna().all()
    assert tags.groupby("vocalist").size().to_dict() == {"Ann": 4, "voice-0002": 4}
    assert tables.read(workspace, "conditioning").set_index("vocalist")["n_tracks"].to_dict() == {
        "Ann": 4,
        "voice-0002": 4,
    }
    assert len(tables.read(workspace, "clusters")) == len(tables.read(workspace, "tracks")) == 8
