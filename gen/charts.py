"""Small charts as inline SVG, the same bytes for the same numbers."""

import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gen.ruling import Gain

INK, LINE = "#808894", "#3b7be0"
"""Grey and blue that can be read on white and on black."""


def curves(records: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """One small chart for each loss, and for the distance that the best step was selected by, over images seen."""
    unit, label = (1000, "thousand images seen") if records and records[-1]["images"] >= 10_000 else (1, "images seen")
    series: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        values = dict(record["losses"])
        if "select" in record:
            values["kernel distance, select"] = record["select"]["kernel"]
        for name, value in values.items():
            series.setdefault(name, []).append((record["images"] / unit, value))
    return [_curve(name, points, label) for name, points in series.items()]


def gain(found: Gain, metric: str) -> Markup:
    """By how much a challenger is better than its champion, how far chance reaches, and from where a gain counts."""
    drawing, axis = _empty(6.4, 1.0)
    axis.plot([found.low, found.high], [0, 0], color=LINE, linewidth=6, alpha=0.45, solid_capstyle="butt")
    axis.plot([found.value], [0], color=LINE, marker="o", markersize=7)
    for place, line in ((0.0, "-"), (found.needed, "--")):
        axis.axvline(place, color=INK, linewidth=1, linestyle=line)
    axis.set_xlabel(f"better by, in {metric}", color=INK)
    axis.set_yticks([])
    axis.set_ylim(-1, 1)
    return _svg(drawing, f"better by {found.value:.3g}, between {found.low:.3g} and {found.high:.3g}")


def _curve(name: str, points: Sequence[tuple[float, float]], label: str) -> Markup:
    drawing, axis = _empty(3.2, 1.9)
    axis.plot(*zip(*points, strict=True), color=LINE, linewidth=1.4, marker="o" if len(points) < 6 else None)
    axis.set_title(name.replace("_", " "), color=INK, fontsize=10, loc="left")
    axis.set_xlabel(label, color=INK)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.grid(axis="y", color=INK, alpha=0.25, linewidth=0.6)
    return _svg(drawing, f"{name.replace('_', ' ')} over {label}")


def _style() -> AbstractContextManager[None]:
    return rc_context({"svg.fonttype": "none", "svg.hashsalt": "genflows", "font.family": "sans-serif", "font.size": 9})


def _empty(width: float, height: float) -> tuple[Figure, Axes]:
    """A drawing of so many inches, with one quiet axis."""
    with _style():
        drawing = Figure(figsize=(width, height), layout="constrained")
        axis = drawing.subplots()
        axis.tick_params(colors=INK, length=0)
        axis.set_frame_on(False)
    return drawing, axis


def _svg(drawing: Figure, words: str) -> Markup:
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with _style():
        drawing.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    text = buffer.getvalue()
    # Drawn from numbers and from the names of our own figures: nothing of a user's text is in it.
    return Markup(f'<svg role="img" aria-label="{words}" ' + text[text.index("<svg") + 5 :])  # noqa: S704
