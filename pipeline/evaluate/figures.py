"""Figures of an evaluation: each function returns one picture as the bytes of a PNG."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import ndtri

from pipeline.evaluate.tasks import Scored
from pipeline.scoring.metrics import eer, roc
from pipeline.scoring.scores import Reliability

# Rates at the ticks of a DET plot; nothing is drawn below the first.
TICKS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


def _png(figure: Figure) -> bytes:
    sink = io.BytesIO()
    # Without a date and a version, the same data gives the same bytes.
    figure.savefig(sink, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    return sink.getvalue()


def _axes(width: float = 5.0, height: float = 4.4) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()


def det(curves: Mapping[str, Scored], title: str) -> bytes:
    """Return the detection-error trade-off of each encoder, on normal-deviate axes (Martin et al., Eurospeech 1997)."""
    figure, axes = _axes()
    for name, scored in curves.items():
        curve = roc(scored.scores, scored.labels)
        rates = np.clip(np.stack([curve.false_alarm, curve.miss]), TICKS[0], 1 - TICKS[0])
        axes.plot(*ndtri(rates), label=f"{name}, EER {100 * eer(scored.scores, scored.labels):.1f} %", lw=1.4)
    ends = ndtri([TICKS[0], TICKS[-1]])
    axes.plot(ends, ends, color="0.8", lw=0.8, zorder=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ndtri(TICKS), [f"{100 * tick:g}" for tick in TICKS])
    axes.set(xlim=ends, ylim=ends, xlabel="false alarms, %", ylabel="misses, %", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return _png(figure)


def histogram(scored: Scored, title: str) -> bytes:
    """Return histograms of the scores of targets and non-targets, each with an area of one."""
    figure, axes = _axes(height=3.0)
    bins = np.linspace(scored.scores.min(), scored.scores.max(), 60).tolist()
    for labels, name, colour in ((~scored.labels, "two singers", "tab:orange"), (scored.labels, "one", "tab:blue")):
        axes.hist(scored.scores[labels], bins, density=True, alpha=0.6, label=name, color=colour)
    axes.set(xlabel="cosine", yticks=[], title=title)
    axes.legend(fontsize=8)
    return _png(figure)


def confusion(singers: NDArray, named: NDArray, title: str) -> bytes:
    """Return a heat map of which singer (row) was named as which (column), as shares of each row."""
    side = float(np.clip(0.35 * len(singers) + 2, 4, 14))
    figure, axes = _axes(side, side)
    parts = named / np.maximum(named.sum(1, keepdims=True), 1)
    picture = axes.imshow(parts, cmap="viridis", vmin=0, vmax=1)
    places = np.arange(len(singers))
    axes.set_xticks(places, singers, rotation=90, fontsize=7)
    axes.set_yticks(places, singers, fontsize=7)
    axes.set(xlabel="named", ylabel="sings", title=title)
    figure.colorbar(picture, ax=axes, fraction=0.045)
    return _png(figure)


def reliability(found: Reliability, title: str) -> bytes:
    """Return a plot of stated against observed probability; the area of a point is its share of the trials."""
    figure, axes = _axes(4.2, 4.2)
    axes.plot([0, 1], [0, 1], color="0.7", lw=1)
    axes.plot(found.stated, found.observed, lw=1.2)
    axes.scatter(found.stated, found.observed, 20 + 300 * found.count / found.count.sum())
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="stated probability", ylabel="observed share")
    axes.set_title(f"{title}\nerror {100 * found.ece:.1f} %, Cllr {found.cllr:.2f} bits", fontsize=10)
    axes.grid(alpha=0.3)
    return _png(figure)


def lengths(values: Mapping[str, Mapping[float, float]], title: str) -> bytes:
    """Return a plot of EER against the length of crops in seconds, a line per encoder."""
    figure, axes = _axes(height=3.4)
    for name, by_length in values.items():
        seconds = sorted(by_length)
        axes.plot(seconds, [100 * by_length[s] for s in seconds], marker="o", ms=4, label=name)
    axes.set_xscale("log", base=2)
    ticks = sorted({s for by_length in values.values() for s in by_length})
    axes.set_xticks(ticks, [f"{s:g}" for s in ticks])
    axes.set(xlabel="length of crop, s", ylabel="EER, %", title=title)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return _png(figure)
