"""Small charts as inline SVG, the same bytes for the same numbers."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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


def _curve(name: str, points: Sequence[tuple[float, float]], label: str) -> Markup:
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "genflows", "font.family": "sans-serif", "font.size": 9}):
        drawing = Figure(figsize=(3.2, 1.9), layout="constrained")
        axis = drawing.subplots()
        axis.plot(*zip(*points, strict=True), color=LINE, linewidth=1.4, marker="o" if len(points) < 6 else None)
        axis.set_title(name.replace("_", " "), color=INK, fontsize=10, loc="left")
        axis.set_xlabel(label, color=INK)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.yaxis.set_major_locator(MaxNLocator(4))
        axis.grid(axis="y", color=INK, alpha=0.25, linewidth=0.6)
        axis.tick_params(colors=INK, length=0)
        axis.set_frame_on(False)
        buffer = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        drawing.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    text = buffer.getvalue()
    words = f'<svg role="img" aria-label="{name.replace("_", " ")} over {label}" '
    # Drawn from numbers and from the names of our own losses: nothing of a user's text is in it.
    return Markup(words + text[text.index("<svg") + 5 :])  # noqa: S704
