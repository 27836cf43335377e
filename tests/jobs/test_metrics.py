import json
import time
import urllib.request

import pyarrow as pa
import ray

from jobs.metrics import Metrics
from pipeline.store.ledger import OUTCOMES


def exported() -> str:
    """Return what Ray's exporter on this node answers to Prometheus."""
    (node,) = ray.nodes()
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    return urllib.request.urlopen(url, timeout=10).read().decode()


def test_a_prometheus_endpoint_tells_what_is_done_and_failed(ray_cluster):
    metrics = Metrics("separate")
    outcomes = [{"key": "a", "status": "done", "seconds": 2.0}, {"key": "b", "status": "done", "seconds": 3.0},
                {"key": "c", "status": "failed", "error": "decode", "seconds": 0.5}]
    until, text = time.monotonic() + 60, ""
    metrics.count(pa.Table.from_pylist(outcomes, schema=OUTCOMES), left=7)
    while "vocatlas_items_left" not in text or "vocatlas_work_seconds" not in text:
        assert time.monotonic() < until, json.dumps(text[-2000:])
        time.sleep(1)
        text = exported()
    lines = [line for line in text.splitlines() if line.startswith("ray_vocatlas_")]
    assert any(line.startswith("ray_vocatlas_items") and 'status="failed"' in line and 'class="decode"' in line
               and line.endswith(" 1.0") for line in lines), lines
    assert any('status="done"' in line and line.endswith(" 2.0") for line in lines), lines
    assert any(line.startswith("ray_vocatlas_items_left") and line.endswith(" 7.0") for line in lines), lines
