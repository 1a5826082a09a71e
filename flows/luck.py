"""What another seed alone does to a model's figure: `genflows luck`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flows import trials
from flows.terminal import Say
from flows.trials import Trial
from gen import chance
from gen.chance import Luck
from gen.config import Params
from gen.errors import UserError
from gen.metrics.card import Figure
from gen.workspace import Workspace

MOST = 0.99
"""Part of the way to a perfect generator beyond which there is none left to gain."""


@dataclass(frozen=True)
class Recipe:
    """A model at several seeds."""

    model: str
    dataset: str
    figures: Sequence[Figure]
    """Those that it is ranked by, one for each seed from 0 on."""

    @property
    def luck(self) -> Luck:
        """What seeds do to it."""
        return chance.luck([figure.value for figure in self.figures], self.figures[0].floor or 0.0)


def measure(workspace: Workspace, params: Params, models: Sequence[str], seeds: int, say: Say) -> list[Recipe]:
    """Train and measure each of `models` at so many seeds, beside the pipeline.

    Raises UserError when a training fails or a generator is not finite, StoppedError on Ctrl-C.
    """
    wanted = [_trial(model, seed) for model in models for seed in range(seeds)]
    found: dict[str, list[Figure]] = {model: [] for model in models}
    for tried in trials.run(workspace, wanted, say):
        deciding = next(item for item in tried.metrics["figures"] if item["name"] == tried.metrics["rank_by"])
        figure = Figure.from_json(deciding)
        if not math.isfinite(figure.value):
            raise UserError(
                f"`{tried.trial.name}` is not finite, so seeds do more to this model than a figure can tell. Mend the "
                "model first: lower its learning rate, or choose a steadier loss."
            )
        found[tried.trial.model].append(figure)
    return [Recipe(model, params.model(model).dataset, figures) for model, figures in found.items()]


def _trial(model: str, seed: int) -> Trial:
    return Trial(f"{model}-seed{seed}", model, (f"models.{model}.seed={seed}",))


def effects(recipes: Sequence[Recipe]) -> dict[str, float]:
    """The minimum effect by dataset, to two digits upwards, 0.01 at least: that of the model which seeds move most.

    Raises UserError where seeds move a figure by as much as there is to gain.
    """
    found: dict[str, float] = {}
    for recipe in recipes:
        effect = recipe.luck.minimum_effect
        if effect > MOST:
            raise UserError(
                f"Seeds move the figure of `{recipe.model}` by as much as there is to gain on `{recipe.dataset}`, so "
                "no gain can be told from luck. Train longer, choose a steadier recipe, or set "
                "`promotion.minimum_effect` by hand."
            )
        found[recipe.dataset] = max(math.ceil(100 * effect) / 100, 0.01, found.get(recipe.dataset, 0.0))
    return found
