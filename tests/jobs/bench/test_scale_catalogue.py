import pandas as pd
import pyarrow as pa

from jobs.bench.scale_catalogue import Catalogue
from pipeline.store import tables


def test_a_catalogue_grows_and_can_be_reopened(tmp_path):
    catalogue = Catalogue(tmp_path / "c", rate=0.03)
    catalogue.grow(40)
    n = len(catalogue.truth)
    frame, vectors = tables.read_voices(catalogue.workspace)
    assert set(frame["track_id"]) == set(catalogue.truth["track_id"]) and len(vectors) == n
    catalogue.grow(20)
    again = Catalogue(tmp_path / "c", rate=0.03)
    assert len(again.truth) > n and again.truth["track_id"].is_unique
    assert len(tables.read_voices(again.workspace)[0]) == len(again.truth)
    who = again.truth["who"].astype("int32")
    n_tracks = who.map(who.value_counts())
    label = who.where(n_tracks > 1, -1)
    rows = pa.Table.from_pandas(
        pd.DataFrame({"track_id": again.truth["track_id"], "cluster_id": label}), preserve_index=False
    )
    tables.replace(again.workspace, "clusters", rows)
    groups = again.groups()
    assert groups["precision"] == groups["recall"] == groups["purity"] == 1
    assert groups["grouped"] == (n_tracks > 1).sum() and groups["largest"] == n_tracks.max()
