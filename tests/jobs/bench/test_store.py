from pathlib import Path

import yaml

from jobs.bench import store


def test_requests_are_counted_stage_by_stage(object_store, tmp_path):
    store.render(tmp_path / "music", 3)
    bucket = object_store.bucket()
    store.put(object_store, sorted((tmp_path / "music").iterdir()), f"{bucket}/music")
    config = tmp_path / "c.yaml"
    places = {"workspace": f"{bucket}/workspace", "catalogue": f"{bucket}/music", "stages": ["scan", "report"]}
    config.write_text(yaml.safe_dump(store.SETTINGS | places))
    scan, report = store.run(object_store, Path(__file__).parents[3], config)
    assert (scan.audio, report.audio) == (3, 0)  # one request per file
    assert scan.kinds["PUT"] > report.kinds["PUT"] > 0
    assert scan.seconds > 0
