"""The tables of a finished run, as the report reads them."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from pipeline.store import tables
from pipeline.store.workspace import Workspace

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='hacked = 1'>"
RATE = 22050


def fill(workspace: Workspace, n: int = 24, singers: int = 4, sound: bool = True) -> None:
    """Write the tables of a finished run: `n` sung tracks by `singers`, one instrumental, two failures."""
    ids = [f"{i:02x}" * 16 for i in range(n)]
    who = np.arange(n) % singers
    angle = 2 * np.pi * who / singers
    rng = np.random.default_rng(0)
    titles = [HOSTILE if i == 0 else f"Song {i}" for i in range(n)]
    tables.replace(
        workspace,
        "tracks",
        pd.DataFrame(
            {
                "track_id": [*ids, "ff" * 16],
                "uri": [*(f"/music/{i}, {i}.mp3" for i in range(n)), "/music/intro.mp3"],
                "title": [*titles, "Intro"],
                "artist": [*(f"Artist {w}" for w in who), None],
                "duration_s": 180.0,
            }
        ),
    )
    uris = [workspace.path(f"vocals_audio/{i[:2]}/{i}.flac") for i in ids]
    tables.write(
        workspace,
        "vocals",
        pd.DataFrame({"track_id": [*ids, "ff" * 16], "vocals_uri": [*uris, None], "has_vocals": [True] * n + [False]}),
        "a",
    )
    tables.write(
        workspace, "embeddings", pd.DataFrame({"track_id": ids, "start_s": 1.0, "embedding": [[1.0, 0.0]] * n}), "a"
    )
    tables.replace(
        workspace,
        "clusters",
        pd.DataFrame(
            {
                "track_id": ids,
                "cluster_id": who.astype("int32"),
                "probability": 1.0,
                "outlier_score": 0.0,
                "x": 5 * np.cos(angle) + rng.normal(size=n),
                "y": 5 * np.sin(angle) + rng.normal(size=n),
            }
        ),
    )
    tables.replace(
        workspace,
        "tags",
        pd.DataFrame(
            {
                "track_id": ids,
                "vocalist": [None if i == n - 1 else "Ann" if w == 0 else f"voice-{w:04d}" for i, w in enumerate(who)],
                "score": 0.5,
                "probability": 0.9,
                "source": ["unknown" if i == n - 1 else "enrolled" if w == 0 else "cluster" for i, w in enumerate(who)],
                "file_artist": [f"Artist {w}" for w in who],
                "credit_probability": [0.01 if i == 5 else 0.9 for i in range(n)],
                "disagrees": [i == 5 for i in range(n)],
            }
        ),
    )
    asked = [(2, "unnamed voice", 5.6, 6, ["Artist 2", 'O"Neil, Ann'], [0.9, np.nan])]
    asked += [
        (5, "credit in doubt", 0.99, 1, [HOSTILE], [0.01]),
        (n - 1, "two likely names", 1.0, 1, ["Ann", "Bob"], [0.6, 0.3]),
    ]
    tables.replace(
        workspace,
        "review",
        [
            {
                "track_id": ids[i],
                "rank": rank,
                "uri": f"/music/{i}, {i}.mp3",
                "reason": reason,
                "settles": settles,
                "n_tracks": n_tracks,
                "candidates": candidates,
                "probabilities": probabilities,
                "start_s": 2.0,
            }
            for rank, (i, reason, settles, n_tracks, candidates, probabilities) in enumerate(asked, 1)
        ],
    )
    now = datetime.now(UTC)
    tables.write(
        workspace,
        "failures",
        [
            {
                "stage": "scan",
                "key": "k1",
                "uri": "/music/<b>bad</b>.mp3",
                "error": "decode",
                "message": "no <audio> in it",
            },
            {"stage": "separate", "key": "k2", "uri": "/music/quiet.mp3", "error": "silent", "message": "silence"},
        ],
        "a",
    )
    tables.write(
        workspace,
        "runs",
        [
            {
                "stage": stage,
                "started_at": now,
                "seconds": seconds,
                "status": "ok",
                "done": n,
                "unit": "track",
                "failed": 1,
                "message": "",
            }
            for stage, seconds in (("tag", 1.0), ("scan", 2.0), ("separate", 200.0))
        ],
        "a",
    )
    if sound:
        time_s = np.arange(4 * RATE) / RATE
        for i, uri in enumerate(uris):
            Path(uri).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(uri, 0.2 * np.sin(2 * np.pi * (200 + 10 * i) * time_s).astype(np.float32), RATE)


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    """Return a workspace as after a finished run."""
    fill(workspace)
    return workspace


@pytest.fixture(scope="session")
def filled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of such a workspace, for tests that only read it."""
    folder = tmp_path_factory.mktemp("report")
    fill(Workspace(folder))
    return folder
