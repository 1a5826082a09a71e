"""The judge promotes what is better beyond chance, and says why."""

import json

import pytest

from gen.config import Params
from gen.judge import Contender, Verdict, judge
from gen.workspace import Workspace
from tests.gen.world import SETTINGS, STANDARD, Copier, Flat, HalfCopier, Negative, Replay, build, opened, published


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Params]:
    return build(tmp_path_factory.mktemp("world"))


def trial(world: tuple[Workspace, Params], challenger: Contender, champion: Contender | None) -> Verdict:
    return judge(challenger, champion, *opened(world[0], "bars"), SETTINGS, STANDARD)


def replay(noise: float, seed: int = 99) -> Contender:
    return Contender(published(Replay(noise, seed)), key=f"{noise} {seed}", version=1)


def test_a_better_generator_is_promoted_and_a_worse_one_kept_away(world: tuple[Workspace, Params]) -> None:
    better = trial(world, replay(0.0), replay(0.4))
    assert (better.decision, better.metric) == ("promote", "frechet")
    assert better.gain is not None
    assert better.gain.low > 0
    assert better.gain.value > better.gain.needed > 0
    worse = trial(world, replay(0.4), replay(0.0))
    assert worse.gain is not None
    assert (worse.decision, worse.gain.value) == ("keep", pytest.approx(-better.gain.value))


def test_two_samples_of_one_generator_are_not_told_apart(world: tuple[Workspace, Params]) -> None:
    decisions = [trial(world, replay(0.1, seed), replay(0.1, seed + 100)).decision for seed in range(8)]
    assert "promote" not in decisions


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
        verdict = judge(contender, rival, prepared, reference, settings, STANDARD)
        assert verdict.decision == "keep"
        assert "repeats training images" in verdict.reasons[-1]
        assert any(not guard.passed and guard.value > guard.limit for guard in verdict.guards)
        assert ("better by" if champion else "nothing to beat") in " ".join(verdict.reasons)
        honest = judge(replay(0.2), rival, prepared, reference, settings, STANDARD)
        assert honest.decision == "promote"
        assert verdict.challenger.value is not None
        assert honest.challenger.value is not None
        assert verdict.challenger.value < honest.challenger.value


def test_a_challenger_without_some_of_the_modes_is_kept_out(world: tuple[Workspace, Params]) -> None:
    for kinds, rival in (((2,), None), ((0, 1), replay(0.0)), ((2,), replay(0.0))):
        verdict = trial(world, Contender(published(Replay(kinds=kinds)), "partial"), rival)
        assert verdict.decision == "keep"
        assert "leaves out too much" in " ".join(verdict.reasons)
    assert trial(world, Contender(published(Flat()), "flat"), None).decision == "keep"


def test_a_class_that_is_gone_is_seen_where_coverage_is_low_anyway(world: tuple[Workspace, Params]) -> None:
    verdict = trial(world, Contender(published(Replay(kinds=(0, 1))), "two of three"), replay(0.3))
    assert [guard.figure for guard in verdict.guards if not guard.passed] == ["class_divergence"]
    assert "It has less of some classes, or none" in verdict.reasons[-1]


def test_guards_let_sound_challengers_pass(world: tuple[Workspace, Params]) -> None:
    """Perfect ones and poor ones, with and without a champion, at every seed."""
    for seed in range(8):
        for noise, rival in ((0.0, None), (0.0, replay(0.4)), (0.2, None), (0.4, None), (1.0, None)):
            found = trial(world, replay(noise, 200 + seed), rival).guards
            assert [guard.figure for guard in found] == [
                "copied_share",
                "copied_closely",
                "copied_share_pixels",
                "copied_closely_pixels",
                "coverage",
                *(["class_divergence"] if rival else []),
            ]
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
    verdict = judge(right, idle, prepared, reference, SETTINGS, STANDARD)
    assert (verdict.decision, verdict.metric, verdict.challenger.value) == ("promote", "pair_error", 0)
    assert judge(idle, right, prepared, reference, SETTINGS, STANDARD).decision == "keep"


def test_a_verdict_survives_its_file(world: tuple[Workspace, Params]) -> None:
    for champion in (None, replay(0.4)):
        verdict = trial(world, replay(0.0), champion)
        assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
