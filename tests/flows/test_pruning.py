"""Which trainings of a sweep are stopped: those clearly worse than most at the same share, and never a good one."""

from pathlib import Path

import numpy as np

from flows.pruning import Course, Mark, Point, Race, is_clearly_worse
from gen import files
from gen.workspace import Workspace
from tests.gen import fabricated


def course(*values: float, spread: float = 0.1, over: bool = False) -> Course:
    """Measured at each quarter of its budget."""
    marks = (Mark(25 * n, n / 4, value, spread) for n, value in enumerate(values, 1))
    return Course(tuple(marks), over)


def alone(*values: float, spread: float = 0.1) -> Point:
    return [course(*values, spread=spread)]


def test_worse_than_the_median_by_more_than_chance_is_stopped() -> None:
    others = [alone(1.0), alone(2.0), alone(3.0)]
    assert is_clearly_worse(alone(2.3), others, 0.25)
    assert not is_clearly_worse(alone(2.25), others, 0.25), "twice the spread of a difference is chance"
    assert not is_clearly_worse(alone(2.3, spread=0.2), others, 0.25), "its own measurement may be the loose one"


def test_the_best_so_far_counts_as_it_would_be_published() -> None:
    others = [alone(1.0, 1.0), alone(1.0, 5.0), alone(9.0, 9.0)]
    assert not is_clearly_worse(alone(1.0, 3.0), others, 0.5)
    assert is_clearly_worse(alone(3.0, 3.0), others, 0.5), "the second had 1.0 before its 5.0"


def test_only_what_has_come_as_far_is_compared() -> None:
    far, near = alone(1.0, 0.1), alone(1.0)
    assert not is_clearly_worse(alone(2.0, 2.0), [far, near, near], 0.5)
    assert is_clearly_worse(alone(2.0, 2.0), [far, near, [course(1.0, over=True)]], 0.5), (
        "what is over is no better later"
    )
    assert not is_clearly_worse(alone(2.0), [far], 0.25), "one other is too few"
    assert not is_clearly_worse(alone(), [far, near, near], 0.0)
    assert not is_clearly_worse(alone(9.0, 9.0, 9.0, 9.0), [alone(1.0, 1.0, 1.0, 1.0)] * 3, 1.0), "it is over anyway"
    early = [[Course((Mark(1, 0.1, value, 0.01),))] for value in (9.0, 1.0, 1.0)]
    assert not is_clearly_worse(early[0], early[1:], 0.1), "what is slow at first may be good in the end"


def test_none_of_the_better_half_is_ever_stopped() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        count = int(random.integers(1, 12))
        values = random.lognormal(0, 2, size=count)
        points = [alone(value, spread=0.01) for value in values]
        stopped = [
            is_clearly_worse(point, points[:place] + points[place + 1 :], 0.25) for place, point in enumerate(points)
        ]
        assert sum(stopped) <= count / 2
        kept, gone = values[~np.array(stopped)], values[np.array(stopped)]
        assert len(gone) == 0 or kept.max() < gone.min()


def test_with_seeds_nothing_is_stopped_before_it_is_known_what_seeds_do() -> None:
    one, waiting = course(1.0), Course()
    bad = [course(3.0), waiting]
    assert not is_clearly_worse(bad, [[one, waiting], [one, waiting]], 0.25)
    assert is_clearly_worse(bad, [[one, course(1.1)], [one, waiting]], 0.25)
    assert not is_clearly_worse(bad, [[one, course(3.0)], [one, waiting]], 0.25), "a seed alone does as much"
    unlucky = [course(3.0), course(1.0)]
    assert not is_clearly_worse(unlucky, [[one, one], [one, one]], 0.25), "its seeds differ as much"


def test_a_point_that_is_stopped_is_stopped_at_all_its_seeds() -> None:
    race = Race("sweep", 2, prune=True)
    for point in ("a", "b"):
        assert not any(race.is_out(point, seed, course(1.0, 1.0, 1.0, 1.0, over=True)) for seed in range(2))
    assert race.is_out("c", 0, course(5.0))
    race.stop("c", 0)
    assert race.is_out("c", 1, Course())
    left = Race("sweep", 1, prune=False)
    assert not any(left.is_out(point, 0, course(value)) for point, value in (("a", 1.0), ("b", 1.0), ("c", 5.0)))


def test_a_course_is_read_from_the_journal(tmp_path: Path) -> None:
    made, params = fabricated.workspace(tmp_path)
    assert Course.read(made, "vae") == Course()
    fabricated.trained(made, params, "vae")
    read = Course.read(Workspace(tmp_path), "vae")
    assert [(mark.images, mark.share) for mark in read.marks] == [(32, 0.5), (64, 1.0)]
    assert read.over
    assert read.best(0.5) == read.marks[0]
    assert read.best(0.25) is None
    journal = files.Journal.read(made.train("vae") / "journal.jsonl")
    assert [mark.value for mark in read.marks] == [each["select"]["kernel"] for each in journal if "select" in each]
