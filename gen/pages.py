"""HTML pages: one self-contained file each, whatever is written into them escaped unless it is markup of our own."""

from typing import Any

import jinja2

from gen import changes


def render(template: str, **values: Any) -> str:
    """The page that `gen/templates/TEMPLATE` becomes with `values`: it refers to no other file and runs no script."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gen", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"figure": changes.figure, "share": "{:.1%}".format, "duration": duration, "times": times}
    return environment.get_template(template).render(values)


def duration(seconds: float) -> str:
    """`3 min 10 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def times(value: float | None, baseline: float | None, lower_is_better: bool | None = True) -> str:
    """How many times smaller than doing nothing: `29 ×`; a dash where nobody can say, or where higher is better."""
    if not lower_is_better or not value or not baseline or min(value, baseline) < 0:
        return "–"
    ratio = baseline / value
    return "worse" if ratio <= 1 else f"{ratio:,.0f} ×" if ratio >= 100 else f"{ratio:.3g} ×"
