import re

import pytest

from jobs.bench import plan
from jobs.bench.plan import Catalogue, Growth, Prices


def test_growth_starts_from_the_measurement_and_can_be_inverted():
    growth = Growth(100_000, 300, 4.0, 1.1, 0.9)
    assert growth.at(100_000) == (300, 4.0)
    seconds, memory_gb = growth.at(1_000_000)
    assert seconds == pytest.approx(300 * 10**1.1)
    assert memory_gb == pytest.approx(4 * 10**0.9)
    assert growth.reach(seconds, memory_gb) == pytest.approx((1_000_000, 1_000_000))


def test_cost_grows_with_the_tracks_and_with_the_seconds_heard():
    small, large = (Catalogue(n, 3.5).core_s() for n in (10, 1000))
    assert {stage: 100 * seconds for stage, seconds in small.items()} == pytest.approx(large)
    whole, part = Catalogue(10, 3.5, excerpts=False), Catalogue(10, 3.5)
    assert whole.core_s()["separate"] == pytest.approx(10 * 3.5 * plan.WHOLE_S["separate"])
    assert whole.core_s()["scan"] == part.core_s()["scan"] == pytest.approx(10 * 3.5 * plan.SCAN_S)
    assert part.gigabytes(False) < part.gigabytes(True) < whole.gigabytes(True)
    assert Catalogue(10, 0.5).core_s() == Catalogue(10, 0.5, excerpts=False).core_s(), "shorter than its excerpts"


def test_requests_cost_what_bench_store_measured():
    assert Catalogue(1_000_000).requests_dollars() == pytest.approx(8.9, abs=0.1)


def test_a_gpu_that_costs_twice_must_be_twice_as_fast():
    once, twice = (Catalogue(1).gpu_times_real_time(Prices(0.05, gpu_hour)) for gpu_hour in (0.4, 0.8))
    assert twice == pytest.approx(2 * once)
    assert Catalogue(1).gpu_times_real_time(Prices(1, 1)) == pytest.approx(
        60 / sum(plan.EXCERPTS_S[s] for s in plan.ON_GPU)
    )


def test_the_lowest_limit_comes_first():
    found = plan.limits(3.5, excerpts=False)
    assert list(found.values()) == sorted(found.values())
    cores = 1000 * plan.DAY_S / sum(Catalogue(1, 3.5, excerpts=False).core_s().values())
    assert found["1,000 cores in a day"] == pytest.approx(cores)


def test_it_prints_each_size(capsys):
    assert plan.main(["--tracks", "10000", "1000000", "--core-hour", "0.1"]) == 0
    said = capsys.readouterr().out
    assert said.count("| 10,000 | 1,000,000 |") == 2
    hours, dollars = (
        float(re.search(rf"\| {name}[^|]*\| [^|]* \| ([\d,]+) \|", said).group(1).replace(",", ""))
        for name in ("core-hours in all", "dollars for them, at 0.1 an hour")
    )
    assert dollars == pytest.approx(hours / 10, abs=1)
