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
    metrics = Metrics("of this test")
    outcomes = [
        {"key": "a", "status": "done", "seconds": 2.0},
        {"key": "b", "status": "done", "seconds": 3.0},
        {"key": "c", "status": "failed", "error": "decode", "seconds": 0.5},
    ]
    until, text = time.monotonic() + 60, ""
    metrics.count(pa.Table.from_pylist(outcomes, schema=OUTCOMES), left=7)
    while text.count('stage="of this test"') < 4:
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
    assert any(line.startswith("ray_vocatlas_items_left") and line.endswith(" 7.0") for line in lines), lines
