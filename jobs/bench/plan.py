"""What a catalogue of any size takes: machine-hours, storage, requests and money, and which limit comes next.

    python -m jobs.bench.plan [--tracks 10000 1000000 10000000] [--minutes 3.5] [--core-hour 0.05] [--gpu-hour 0.8]

It is computed from the results of other benchmarks, which are below with their sources; prints Markdown. The cost of
stages that process audio grows with the audio; that of stages for the whole catalogue grows by an exponent and is
extrapolated beyond the largest size measured. Nothing was measured on a GPU, so it says how fast one has to be.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.bench import store
from jobs.bench.table import header, row

HEARD_S = 60.0  # of each track, with separate.excerpts={count: 4, seconds: 15}
# Seconds of one core by `make bench-excerpts` (docs/results.md), for a minute of the track and a minute that is heard:
SCAN_S = 0.13
WHOLE_S = {"separate": 1.69, "shard": 0.31, "embed": 0.81}
EXCERPTS_S = {"separate": 1.87, "shard": 0.42, "embed": 0.78}
ON_GPU = ("separate", "embed")
# Megabytes for a minute that is heard (docs/results.md): vocals' audio, clips, rows of these; for a track: other rows.
VOCALS_MB, CLIPS_MB, CLIP_ROWS_MB, ROWS_MB = 1.63, 1.01, 0.007, 0.003
REQUESTS = {"GET": 4.3, "HEAD": 0.4, "PUT": 1.4}  # a track, `make bench-store` (docs/cluster.md)
GB_MONTH = 0.023  # dollars, S3 Standard in us-east-1: https://aws.amazon.com/s3/pricing/
PER_PREFIX = {"GET": 5500, "PUT": 3500}  # requests a second, Amazon's S3 user guide, "Optimizing performance"
MACHINE_GB, DAY_S = 256.0, 86400.0


@dataclass(frozen=True)
class Growth:
    """What a command for the whole catalogue took on one core, and how that grows with the number of tracks.

    Attributes:
        seconds, memory_gb: processor time and peak memory, for `tracks`.
        time, memory: exponents of their growth.
    """

    tracks: int
    seconds: float
    memory_gb: float
    time: float
    memory: float

    def at(self, tracks: float) -> tuple[float, float]:
        """Return seconds and GB for so many tracks."""
        times = tracks / self.tracks
        return self.seconds * times**self.time, self.memory_gb * times**self.memory

    def reach(self, seconds: float, memory_gb: float) -> tuple[float, float]:
        """Return how many tracks take so many seconds, and how many so much memory."""
        longer, larger = seconds / self.seconds, memory_gb / self.memory_gb
        return self.tracks * longer ** (1 / self.time), self.tracks * larger ** (1 / self.memory)


# `make bench-scale` (docs/scale.md), one core; the exponents of memory are assumed. Above a million tracks, `cluster`
# spends most of its time on searching 41 candidates in each piece of 500,000 (an estimated 0.2 ms a voice and piece).
TOGETHER: Mapping[str, Growth] = {
    "cluster": Growth(1_000_000, 2412, 8.0, 1.3, 0.9),
    "tag": Growth(1_000_000, 397, 4.8, 1.0, 0.9),
}


@dataclass(frozen=True)
class Prices:
    """Dollars for an hour of a core and of a GPU with its machine."""

    core_hour: float = 0.05
    gpu_hour: float = 0.8


@dataclass(frozen=True)
class Catalogue:
    """How many tracks, of what length in minutes, and how much of each is heard."""

    tracks: int
    minutes: float = 3.5
    excerpts: bool = True

    @property
    def heard_min(self) -> float:
        """Minutes of a track that are heard."""
        return min(self.minutes, HEARD_S / 60) if self.excerpts else self.minutes

    def core_s(self) -> dict[str, float]:
        """Return seconds of one core for each stage that hears audio, all tracks."""
        each = EXCERPTS_S if self.excerpts and self.heard_min < self.minutes else WHOLE_S
        heard = {stage: seconds * self.heard_min for stage, seconds in each.items()}
        return {stage: self.tracks * seconds for stage, seconds in {"scan": SCAN_S * self.minutes, **heard}.items()}

    def gigabytes(self, keep_vocals: bool) -> float:
        """Return what the workspace holds."""
        heard = self.heard_min * (CLIPS_MB + CLIP_ROWS_MB + VOCALS_MB * keep_vocals)
        return self.tracks * (heard + ROWS_MB) / 1000

    def requests_dollars(self) -> float:
        """Return what the requests to the store cost."""
        return self.tracks * sum(n * store.PRICES[kind] for kind, n in REQUESTS.items())

    def gpu_times_real_time(self, prices: Prices) -> float:
        """Return from which speed on, as a multiple of real time, a GPU costs no more than cores do."""
        cores_s = sum(self.core_s()[stage] for stage in ON_GPU)
        heard_s = self.tracks * self.heard_min * 60
        return heard_s / cores_s * prices.gpu_hour / prices.core_hour


def limits(minutes: float, excerpts: bool) -> dict[str, float]:
    """Return how many tracks each limited resource allows, within a day where time matters."""
    one = Catalogue(1, minutes, excerpts)
    found = {}
    for stage, growth in TOGETHER.items():
        found[f"{stage} within a day"], found[f"{stage} within {MACHINE_GB:g} GB"] = growth.reach(DAY_S, MACHINE_GB)
    for kind, most in PER_PREFIX.items():
        found[f"{kind} requests to one prefix in a day"] = DAY_S * most / REQUESTS[kind]
    found["1,000 cores in a day"] = 1000 * DAY_S / sum(one.core_s().values())
    return dict(sorted(found.items(), key=lambda item: item[1]))


def report(sizes: Sequence[int], minutes: float, prices: Prices) -> None:
    """Print the plan."""
    for excerpts in (True, False):
        plans = [Catalogue(tracks, minutes, excerpts) for tracks in sizes]
        heard = f"{plans[0].heard_min * 60:.0f} s heard of each" if excerpts else "heard whole"
        header(f"Tracks of {minutes:g} min, {heard}", "", *(f"{plan.tracks:,}" for plan in plans))
        for stage in plans[0].core_s():
            row(f"core-hours: {stage}", *(f"{plan.core_s()[stage] / 3600:,.1f}" for plan in plans))
        core_hours = [sum(plan.core_s().values()) / 3600 for plan in plans]
        row("core-hours in all", *(f"{hours:,.0f}" for hours in core_hours))
        row(f"dollars for them, at {prices.core_hour:g} an hour", *(f"{h * prices.core_hour:,.0f}" for h in core_hours))
        for name, growth in TOGETHER.items():
            found = [growth.at(plan.tracks) for plan in plans]
            row(f"{name}, one machine: hours", *(f"{seconds / 3600:.2f}" for seconds, _ in found))
            row(f"{name}: memory, GB", *(f"{memory:.1f}" for _, memory in found))
        for keep, name in ((True, "workspace, GB"), (False, "without vocals' audio, GB")):
            row(name, *(f"{plan.gigabytes(keep):,.0f}" for plan in plans))
        row("dollars a month for it", *(f"{plan.gigabytes(True) * GB_MONTH:,.2f}" for plan in plans))
        row("million requests", *(f"{plan.tracks * sum(REQUESTS.values()) / 1e6:,.2f}" for plan in plans))
        row("dollars for them", *(f"{plan.requests_dollars():,.2f}" for plan in plans))
        times = plans[0].gpu_times_real_time(prices)
        print(
            f"\nA GPU at ${prices.gpu_hour:g} an hour costs less from {times:,.0f} times real time on (not measured)."
        )
    header("Tracks that each limit allows", "limit", f"{HEARD_S:g} s heard", "heard whole")
    whole = limits(minutes, False)
    for name, tracks in limits(minutes, True).items():
        row(name, f"{tracks:,.0f}", f"{whole[name]:,.0f}")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.plan", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tracks", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000])
    parser.add_argument("--minutes", type=float, default=Catalogue.minutes, help="length of a track")
    parser.add_argument("--core-hour", type=float, default=Prices.core_hour, help="dollars for an hour of a core")
    parser.add_argument("--gpu-hour", type=float, default=Prices.gpu_hour, help="dollars for an hour of a GPU machine")
    given = parser.parse_args(argv)
    report(given.tracks, given.minutes, Prices(given.core_hour, given.gpu_hour))
    return 0


if __name__ == "__main__":
    sys.exit(main())
