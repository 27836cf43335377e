import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from safetensors.numpy import load

from pipeline.sections import ExportConfig
from pipeline.stages import export
from pipeline.store import tables
from pipeline.store.errors import ConfigError

DIM = 16


def near(middle: np.ndarray, n: int, seed: int, noise: float = 0.1) -> np.ndarray:
    """Return n unit vectors (n, d) around a direction."""
    vectors = middle + noise * np.random.default_rng(seed).normal(size=(n, len(middle)))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def fill(workspace, tags: list[tuple], encoder_id: str = "e-1") -> dict[str, np.ndarray]:
    """Write voices, clips' places and tags of (track_id, vocalist, source, probability); returns the voices."""
    voices = {}
    for i, (track_id, vocalist, _, _) in enumerate(tags):
        voices[track_id] = near(np.eye(DIM)[len(vocalist or "")], 1, i)[0]
    tables.write(
        workspace,
        "voices",
        [
            {"track_id": key, "encoder_id": encoder_id, "n_clips": 2, "spread": 0.1, "embedding": voice.tolist()}
            for key, voice in voices.items()
        ],
        encoder_id,
    )
    tables.write(
        workspace,
        "embeddings",
        [
            {"clip_id": f"{key}-{i}", "track_id": key, "start_s": 10.0 * i, "end_s": 10.0 * i + 5, "embedding": [1.0]}
            for key in voices
            for i in range(2)
        ],
        encoder_id,
    )
    tables.replace(workspace, "tags", pd.DataFrame(tags, columns=["track_id", "vocalist", "source", "probability"]))
    return voices


TAGS = [
    ("d", "Ann", "enrolled", 1.0),
    ("b", "Ann", "credited", 0.96),
    ("c", "voice-0001", "cluster", 0.9),
    ("a", None, "unknown", 0.2),
    ("e", "Zoë 歌", "enrolled", 0.8),
    ("f", "Zoë 歌", "cluster", 0.9),
    ("g", "Zoë 歌", "cluster", 0.5),
]


def rows_of(workspace, **settings) -> pd.DataFrame:
    config = ExportConfig(**settings)
    return pd.DataFrame(export.conditioning(*export.sung_tracks(workspace, config), config)).set_index("vocalist")


def test_a_removed_track_is_part_of_no_vocalist(workspace):
    fill(workspace, TAGS)
    tables.replace(workspace, "tracks", [{"track_id": track_id} for track_id in "abcde"])
    assert rows_of(workspace)["n_tracks"].to_dict() == {"Ann": 2, "Zoë 歌": 1, "voice-0001": 1}


def test_each_vocalist_has_one_row_and_unknown_tracks_have_none(workspace):
    voices = fill(workspace, TAGS)
    rows = rows_of(workspace)
    assert rows.index.tolist() == ["Ann", "Zoë 歌", "voice-0001"]
    assert rows["source"].tolist() == ["mixed", "mixed", "cluster"]
    assert rows["n_tracks"].tolist() == [2, 2, 1]
    assert rows["n_clips"].tolist() == [4, 4, 2]
    assert rows["clips_s"].tolist() == [20.0, 20.0, 10.0]
    mean = (voices["b"] + voices["d"]) / 2
    np.testing.assert_allclose(rows.at["Ann", "embedding"], mean / np.linalg.norm(mean), atol=1e-6)
    assert rows.at["Ann", "spread"] == pytest.approx(1 - np.linalg.norm(mean), abs=1e-6)
    assert rows.at["voice-0001", "spread"] == pytest.approx(0, abs=1e-6)


def test_the_order_of_the_tables_changes_nothing(workspace, tmp_path):
    fill(workspace, TAGS)
    config, first = ExportConfig(), export.conditioning(*export.sung_tracks(workspace, ExportConfig()), ExportConfig())
    for table in ("voices", "tags"):
        found = tables.read_arrow(workspace, table)
        for name in tables.parts(workspace, table):
            workspace.delete(name)
        tables.write(workspace, table, found.take(pa.array(range(len(found) - 1, -1, -1))), "turned")
    assert export.conditioning(*export.sung_tracks(workspace, config), config) == first


def test_known_tracks_in_doubt_are_left_out(workspace):
    fill(workspace, TAGS)
    tags = tables.read(workspace, "tags")
    tables.replace(workspace, "tags", tags.assign(doubt=tags["track_id"].map({"d": "two voices"})))
    rows = rows_of(workspace)
    assert rows.at["Ann", "n_tracks"] == 1 and rows.at["Ann", "source"] == "credited"


def test_a_recording_counts_once_however_many_files_it_has(workspace):
    voices = fill(workspace, TAGS)
    tags = tables.read(workspace, "tags")
    tables.replace(workspace, "tags", tags.assign(same_recording=tags["track_id"].map({"d": "b"})))
    rows = rows_of(workspace)
    assert rows.at["Ann", "n_tracks"] == 1
    np.testing.assert_allclose(rows.at["Ann", "embedding"], voices["b"], atol=1e-6)


def test_vocalists_with_few_tracks_and_uncertain_tags_can_be_left_out(workspace):
    fill(workspace, TAGS)
    assert rows_of(workspace, min_tracks=2).index.tolist() == ["Ann", "Zoë 歌"]
    sure = rows_of(workspace, min_probability=0.97)
    assert sure["n_tracks"].to_dict() == {"Ann": 1}
    assert sure.at["Ann", "source"] == "enrolled"
    with pytest.raises(ConfigError, match=r"no vocalist has 9 tracks.*export\.min_tracks"):
        rows_of(workspace, min_tracks=9)


def test_wrongly_tagged_tracks_do_not_shift_the_vector():
    true, wrong = np.eye(DIM)[0], np.eye(DIM)[1]
    voices = np.concatenate([near(true, 8, 0), near(wrong, 2, 1)])
    clips = np.full(10, 5)
    plain, all_kept = export.vocalist_vector(voices, clips, trim=0.0)
    trimmed, kept = export.vocalist_vector(voices, clips, trim=0.2)
    assert all_kept.all()
    assert kept.tolist() == [True] * 8 + [False] * 2
    alone, _ = export.vocalist_vector(voices[:8], clips[:8], trim=0.0)
    np.testing.assert_allclose(trimmed, alone, atol=1e-6)
    assert trimmed @ alone > plain @ alone + 0.01


def test_trimmed_tracks_are_counted_and_affect_only_spread(workspace):
    fill(workspace, [(f"t{i}", "Ann", "enrolled", 1.0) for i in range(5)])
    row = rows_of(workspace).loc["Ann"]
    assert (row["n_tracks"], row["n_left_out"], row["n_clips"], row["clips_s"]) == (5, 1, 8, 40.0)


def test_tracks_with_more_clips_weigh_more_but_not_in_proportion():
    voices = np.eye(2, dtype=np.float32)
    vector, _ = export.vocalist_vector(voices, np.array([4, 4000]), trim=0.0)
    assert vector[1] / vector[0] == pytest.approx(2, abs=0.01)
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert export.vocalist_vector(voices[:1], np.array([1]), trim=0.4)[0].tolist() == [1.0, 0.0]


def test_the_matrix_contains_the_names_of_its_rows_whatever_they_are(workspace):
    fill(workspace, [*TAGS, ("g", "__metadata__", "enrolled", 1.0), ("h", 'a/"b"\n\\', "enrolled", 1.0)])
    rows = export.conditioning(*export.sung_tracks(workspace, ExportConfig()), ExportConfig())
    data = export.matrix(rows)
    assert data == export.matrix(rows)
    vectors = load(data)["embedding"]
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    about = json.loads(header["__metadata__"]["vocatlas"])
    assert about == {"encoder_id": "e-1", "vocalists": [row["vocalist"] for row in rows]}
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.array([row["embedding"] for row in rows], np.float32))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_without_tags_or_voices_it_says_what_to_run(workspace):
    with pytest.raises(ConfigError, match="tags holds nothing to export: run the stages up to tag"):
        export.sung_tracks(workspace, ExportConfig())
    tables.replace(workspace, "tags", [{"track_id": "a"}])
    with pytest.raises(ConfigError, match="voices holds nothing to export: run the stages up to embed"):
        export.sung_tracks(workspace, ExportConfig())


def test_vectors_of_two_encoders_are_not_averaged(workspace):
    fill(workspace, TAGS[:2], "e-1")
    fill(workspace, TAGS[2:], "e-2")
    with pytest.raises(ConfigError, match=r"several encoders \(e-1, e-2\)"):
        export.sung_tracks(workspace, ExportConfig())
