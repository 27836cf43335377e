import json
import re
import time
import urllib.request
from pathlib import Path

import pyarrow as pa
import ray

from jobs.metrics import Metrics
from pipeline.store.ledger import OUTCOMES


def exported() -> str:
    """Return what Ray's exporter on this node answers to Prometheus."""
    (node,) = ray.nodes()
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    return urllib.request.urlopen(url, timeout=10).read().decode()


def test_a_prometheus_endpoint_counts_what_is_done_and_failed(ray_cluster):
    metrics = Metrics("of this test")
    outcomes = [
        {"key": "a", "status": "done", "seconds": 2.0, "audio_s": 100.0},
        {"key": "b", "status": "done", "seconds": 3.0, "audio_s": 60.5},
        {"key": "c", "status": "failed", "error": "decode", "seconds": 0.5},
    ]
    until, text = time.monotonic() + 60, ""
    metrics.count(pa.Table.from_pylist(outcomes, schema=OUTCOMES), left=7)
    while text.count('stage="of this test"') < 5:
        assert time.monotonic() < until, text[-2000:]
        time.sleep(1)
        text = exported()
    lines = [line for line in text.splitlines() if line.startswith("ray_vocatlas_") and "of this test" in line]
    assert any(
        line.startswith("ray_vocatlas_items_total")
        and 'status="failed"' in line
        and 'class="decode"' in line
        and line.endswith(" 1.0")
        for line in lines
    ), lines
    assert any('status="done"' in line and line.endswith(" 2.0") for line in lines), lines
    assert any(line.startswith("ray_vocatlas_audio_seconds_total") and line.endswith(" 160.5") for line in lines), lines
    assert any(line.startswith("ray_vocatlas_items_left") and line.endswith(" 7.0") for line in lines), lines
    told = {line.partition("{")[0] for line in lines}
    panels = json.loads((Path(__file__).parents[2] / "configs" / "grafana.json").read_text())["panels"]
    for expression in [target["expr"] for panel in panels for target in panel["targets"]]:
        asked = set(re.findall(r"ray_vocatlas_\w+", expression))
        assert asked and asked <= told, expression
