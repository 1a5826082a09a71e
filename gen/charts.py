"""Small charts as inline SVG, the same bytes for the same numbers."""

import io
from collections.abc import Mapping, Sequence
from colorsys import hsv_to_rgb
from contextlib import AbstractContextManager
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gen.ruling import Gain

Point = tuple[float, float]
INK, LINE = "#808894", "#3b7be0"
"""Grey and blue that can be read on white and on black."""


def curves(records: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """One small chart for each loss, and for the distance that the best step was selected by, over images seen."""
    return [lines(name, [(LINE, points)], "images seen") for name, points in series(records).items()]


def series(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Point]]:
    """Each loss of a journal, and the distance that the best step was selected by, over images seen."""
    found: dict[str, list[Point]] = {}
    for record in records:
        values = dict(record["losses"])
        if "select" in record:
            values["kernel distance, select"] = record["select"]["kernel"]
        for name, value in values.items():
            found.setdefault(name, []).append((record["images"], value))
    return found


def colors(count: int) -> list[str]:
    """Colours that are told apart as well as so many can be, on white and on black."""
    shades = (hsv_to_rgb((0.6 + number / count) % 1, 0.68, 0.88 - 0.25 * (number % 2)) for number in range(count))
    return ["#" + "".join(f"{round(255 * part):02x}" for part in shade) for shade in shades]


def lines(name: str, curves: Sequence[tuple[str, Sequence[Point]]], label: str) -> Markup:
    """A small chart of several lines, each of its colour; `label` says what they go over."""
    furthest = max((x for _, points in curves for x, _ in points), default=0)
    unit, label = (1000, f"thousand {label}") if furthest >= 10_000 else (1, label)
    drawing, axis = _empty(3.2, 1.9)
    for color, points in curves:
        xs, ys = [x / unit for x, _ in points], [y for _, y in points]
        axis.plot(xs, ys, color=color, linewidth=1.4, marker="o" if len(points) < 6 else None)
    axis.set_title(name.replace("_", " "), color=INK, fontsize=10, loc="left")
    axis.set_xlabel(label, color=INK)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.grid(axis="y", color=INK, alpha=0.25, linewidth=0.6)
    return _svg(drawing, f"{name.replace('_', ' ')} over {label}")


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
