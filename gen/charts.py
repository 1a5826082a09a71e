"""Curves as inline SVG, the same bytes for the same numbers."""

import io
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

STYLE = {"svg.fonttype": "none", "svg.hashsalt": "genflows", "font.family": "sans-serif", "font.size": 9}
INK, LINE = "#7a8290", "#2f6fde"
"""Grey and blue that can be read on white and on black."""


def curves(records: list[dict[str, Any]]) -> Markup:
    """One small chart a loss over images seen, side by side; empty without records."""
    if not records:
        return Markup("")
    names = list(records[0]["losses"])
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with rc_context(STYLE):
        drawing = Figure(figsize=(3.1 * columns, 2.0 * rows), layout="constrained")
        axes = drawing.subplots(rows, columns, squeeze=False).flat
        for axis, name in zip(axes, names, strict=False):
            axis.plot([r["images"] / 1000 for r in records], [r["losses"][name] for r in records], color=LINE, lw=1.4)
            axis.set_title(name.replace("_", " "), color=INK, fontsize=9, loc="left")
            axis.set_xlabel("thousand images", color=INK, fontsize=8)
            axis.tick_params(colors=INK, labelsize=8)
            axis.patch.set_alpha(0)
            for side, spine in axis.spines.items():
                spine.set_visible(side in ("left", "bottom"))
                spine.set_color(INK)
        for axis in list(axes)[len(names) :]:
            axis.set_visible(False)
        buffer = io.StringIO()
        drawing.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    # Drawn by matplotlib from numbers and from the names of our own losses: nothing of a user's text is in it.
    return Markup(text[text.index("<svg") :])  # noqa: S704
