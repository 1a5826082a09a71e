"""The judge promotes what is better beyond chance, and says why."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gen.config import Params
from gen.judge import Contender, Verdict, decide, judge
from gen.metrics.card import Figure
from gen.workspace import Workspace
from tests.gen.metrics.test_card import CARD
from tests.gen.world import SETTINGS, Copier, Flat, HalfCopier, Negative, Replay, build, opened, published

NOISE = np.random.default_rng(0).standard_normal(400)
NOISE = (NOISE - NOISE.mean()) / NOISE.std(ddof=1)
"""Mean 0 and deviation 1."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Params]:
    return build(tmp_path_factory.mktemp("world"))


def figure(value: float, chance: np.ndarray | None = NOISE, baseline: float | None = 100.0) -> Figure:
    halves = None if chance is None else value + chance
    return Figure("frechet", value, "", CARD, floor=0.1, baseline=baseline, halves=halves)


@pytest.mark.parametrize(
    ("value", "decision"), [(7.9, "promote"), (8.1, "undecided"), (11.9, "undecided"), (12.1, "keep")]
)
def test_the_margin_counts_in_spreads_of_the_difference(value: float, decision: str) -> None:
    """The champion scores 10 and the difference spreads by 1: 2 spreads lie between 8 and 12."""
    ruling = decide(figure(value), figure(10, chance=NOISE * 0), margin=2)
    assert (ruling.decision, ruling.difference, ruling.spread) == (
        decision,
        pytest.approx(value - 10),
        pytest.approx(1),
    )


def test_chance_that_both_share_cancels() -> None:
    """Both move by 1 with the images, but together: a difference of 0.1 is certain."""
    assert decide(figure(9.9), figure(10), margin=2).decision == "promote"
    assert decide(figure(10), figure(10), margin=2).decision == "undecided"


def test_where_higher_is_better_the_higher_is_promoted() -> None:
    higher, lower = (replace(figure(value, baseline=0.0), lower_is_better=False) for value in (12.1, 10.0))
    assert decide(higher, replace(lower, halves=10.0 + 0 * NOISE), margin=2).decision == "promote"
    assert decide(replace(lower, halves=10.0 + 0 * NOISE), higher, margin=2).decision == "keep"
    assert decide(lower, None, margin=2).decision == "promote"
    assert decide(replace(lower, value=0.0), None, margin=2).decision == "keep"


def test_the_first_of_its_task_is_promoted_if_it_is_better_than_nothing() -> None:
    assert decide(figure(99), None, margin=2).decision == "promote"
    assert "no better than doing nothing" in decide(figure(100), None, margin=2).reason
    assert decide(figure(100), None, margin=2).decision == "keep"
    assert decide(figure(100), figure(200), margin=2).decision == "keep"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_never_wins(value: float) -> None:
    broken = figure(value, chance=None)
    assert decide(broken, None, margin=2).decision == "keep"
    assert decide(broken, figure(10), margin=2).decision == "keep"
    assert decide(figure(10), broken, margin=2).decision == "promote"


def test_without_a_spread_nothing_is_decided() -> None:
    ruling = decide(figure(1, chance=None), figure(10), margin=2)
    assert ruling.decision == "undecided"
    assert "too few" in ruling.reason


def test_figures_of_other_cards_have_no_order() -> None:
    other = replace(figure(10), card=replace(CARD, extractor="another", version=2))
    ruling = decide(figure(1), other, margin=2)
    assert ruling.decision == "undecided"
    assert "(version, extractor)" in ruling.reason


def trial(world: tuple[Workspace, Params], challenger: Contender, champion: Contender | None) -> Verdict:
    return judge(challenger, champion, *opened(world[0], "bars"), SETTINGS)


def replay(noise: float, seed: int = 99) -> Contender:
    return Contender(published(Replay(noise, seed)), key=f"{noise} {seed}", version=1)


def test_a_better_generator_is_promoted_and_a_worse_one_kept_away(world: tuple[Workspace, Params]) -> None:
    better = trial(world, replay(0.0), replay(0.4))
    assert (better.decision, better.metric) == ("promote", "frechet")
    assert better.difference is not None
    assert better.difference < -2 * (better.spread or 0)
    worse = trial(world, replay(0.4), replay(0.0))
    assert (worse.decision, worse.difference) == ("keep", pytest.approx(-better.difference))


def test_two_samples_of_one_generator_are_not_told_apart(world: tuple[Workspace, Params]) -> None:
    decisions = [trial(world, replay(0.1, seed), replay(0.1, seed + 100)).decision for seed in range(8)]
    assert decisions.count("undecided") >= 6


def test_a_collapsed_challenger_is_kept_away(world: tuple[Workspace, Params]) -> None:
    assert trial(world, Contender(published(Flat()), "flat"), replay(0.2)).decision == "keep"


@pytest.mark.parametrize("copier", [Copier, HalfCopier])
@pytest.mark.parametrize("champion", [None, 0.4])
def test_a_copier_of_the_training_images_is_kept_out_though_its_distance_is_the_best(
    world: tuple[Workspace, Params], copier: type[Replay], champion: float | None
) -> None:
    rival = None if champion is None else replay(champion)
    for seed in (1, 2, 3):
        settings = SETTINGS.model_copy(update={"seed": seed})
        contender = Contender(published(copier(seed=seed)), "copier")
        prepared, reference = opened(world[0], "bars")
        verdict = judge(contender, rival, prepared, reference, settings)
        assert verdict.decision == "keep"
        assert "repeats training images" in verdict.reasons[-1]
        assert any(not guard.passed and guard.value > guard.limit for guard in verdict.guards)
        assert ("better by" if champion else "nothing to beat") in " ".join(verdict.reasons)
        honest = judge(replay(0.2), rival, prepared, reference, settings)
        assert honest.decision == "promote"
        assert verdict.challenger.value is not None
        assert honest.challenger.value is not None
        assert verdict.challenger.value < honest.challenger.value


def test_a_challenger_without_some_of_the_modes_is_kept_out(world: tuple[Workspace, Params]) -> None:
    for kinds, rival in (((2,), None), ((0, 1), replay(0.0)), ((2,), replay(0.0))):
        verdict = trial(world, Contender(published(Replay(kinds=kinds)), "partial"), rival)
        assert verdict.decision == "keep"
        assert "leaves out too much" in verdict.reasons[-1]
    assert trial(world, Contender(published(Flat()), "flat"), None).decision == "keep"


def test_guards_let_sound_challengers_pass(world: tuple[Workspace, Params]) -> None:
    """Perfect ones and poor ones, with and without a champion, at every seed."""
    for seed in range(8):
        for noise, rival in ((0.0, None), (0.0, replay(0.4)), (0.2, None), (0.4, None), (1.0, None)):
            found = trial(world, replay(noise, 200 + seed), rival).guards
            assert [guard.figure for guard in found] == ["copied_share", "copied_closely", "coverage"]
            assert all(guard.passed for guard in found), (seed, noise, found)


def test_a_challenger_with_broken_weights_is_kept_away(world: tuple[Workspace, Params]) -> None:
    verdict = trial(world, replay(float("nan")), None)
    assert (verdict.decision, verdict.challenger.value) == ("keep", None)
    json.dumps(verdict.to_json(), allow_nan=False)


def test_the_champion_itself_is_not_measured_again(world: tuple[Workspace, Params]) -> None:
    verdict = trial(world, replay(0.0), replay(0.0))
    assert (verdict.decision, verdict.metric) == ("keep", None)
    assert "already" in verdict.reasons[0]


def test_a_champion_of_other_images_cannot_defend_itself(world: tuple[Workspace, Params]) -> None:
    old = Contender(published(Replay(), size=16), "old")
    verdict = trial(world, replay(0.0), old)
    assert verdict.decision == "promote"
    assert "1 x 16 x 16" in verdict.reasons[0]
    assert verdict.champion is not None
    assert verdict.champion.value is None


def test_translators_are_judged_by_their_pairs(world: tuple[Workspace, Params]) -> None:
    prepared, reference = opened(world[0], "negatives")
    right, idle = (Contender(published(Negative(sign), "translate"), f"sign {sign}") for sign in (-1, 1))
    verdict = judge(right, idle, prepared, reference, SETTINGS)
    assert (verdict.decision, verdict.metric, verdict.challenger.value) == ("promote", "pair_error", 0)
    assert judge(idle, right, prepared, reference, SETTINGS).decision == "keep"


def test_a_verdict_survives_its_file(world: tuple[Workspace, Params]) -> None:
    for champion in (None, replay(0.4)):
        verdict = trial(world, replay(0.0), champion)
        assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
