"""Precision, recall, density and coverage: the published definitions, image by image, and what they must be."""

import numpy as np
import pytest
import torch

from gen.errors import TooFewImagesError
from gen.metrics.halves import half_samples
from gen.metrics.manifold import NAMES, manifold


def features(count: int, dimension: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dimension)) + 10 + shift


def whole(count: int) -> np.ndarray:
    return np.ones((1, count), np.bool_)


def figures(real: np.ndarray, generated: np.ndarray, block: int = 1024) -> dict[str, float]:
    values = manifold(real, generated, whole(len(real)), whole(len(generated)), block)
    return {name: float(value[0]) for name, value in values.items()}


def published(real: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """Kynkaanniemi et al. 2019, eq. 1 and 2; Naeem et al. 2020, eq. 3 and 4: loops over single images."""

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(((a.astype(np.float64) - b.astype(np.float64)) ** 2).sum()))

    def radius(images: np.ndarray, i: int, k: int) -> float:
        return sorted(distance(images[i], images[j]) for j in range(len(images)) if j != i)[k - 1]

    def inside(point: np.ndarray, images: np.ndarray, k: int) -> int:
        return sum(distance(point, images[i]) <= radius(images, i, k) for i in range(len(images)))

    return {
        "precision": sum(inside(g, real, 3) > 0 for g in generated) / len(generated),
        "recall": sum(inside(r, generated, 3) > 0 for r in real) / len(real),
        "density": sum(inside(g, real, 5) for g in generated) / (5 * len(generated)),
        "coverage": sum(
            any(distance(g, real[i]) <= radius(real, i, 5) for g in generated) for i in range(len(real))
        )
        / len(real),
    }  # fmt: skip


@pytest.mark.parametrize(("seed", "shift"), [(0, 1.0), (1, 1.5), (2, 2.5)])
def test_equals_the_published_definitions(seed: int, shift: float) -> None:
    real, generated = features(24, 3, seed), features(31, 3, seed + 10, shift=shift)
    assert figures(real, generated) == pytest.approx(published(real, generated), abs=1e-15)
    assert published(real, generated)["coverage"] < 1


def test_identical_sets_are_all_fidelity_and_coverage() -> None:
    same = features(300, 8, 0)
    found = figures(same, same)
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)
    # Each image lies in its own ball, and in those of the images whose five nearest it is among: 1 + 5 on average.
    assert found["density"] == pytest.approx(6 / 5)


def test_sets_far_apart_have_nothing_in_common() -> None:
    assert set(figures(features(50, 4, 0), features(60, 4, 1, shift=100)).values()) == {0.0}


def test_without_half_of_the_modes_half_is_covered() -> None:
    near, far = features(400, 4, 0), features(400, 4, 1, shift=100)
    found = figures(np.concatenate([near, far]), features(800, 4, 2))
    assert found["recall"] == pytest.approx(0.5, abs=0.05)
    assert found["coverage"] == pytest.approx(0.5, abs=0.03)
    assert found["precision"] > 0.9
    assert found["density"] == pytest.approx(1, abs=0.15)


def test_density_of_samples_of_one_distribution_is_one_and_coverage_as_published() -> None:
    """Naeem et al. 2020, section 3.3: E[density] = 1, E[coverage] = 1 - 1/2 (N - 1)...(N - k) / ((2N - 1)...)."""
    found = figures(features(1500, 4, 0), features(1500, 4, 1))
    expected = 1 - np.prod([(1500 - i) / (3000 - i) for i in range(1, 6)])
    assert found["density"] == pytest.approx(1, abs=0.05)
    assert found["coverage"] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("block", [1, 13, 64])
def test_blocks_change_nothing(block: int) -> None:
    real, generated = features(90, 5, 0), features(70, 5, 1, shift=0.5)
    assert figures(real, generated, block) == figures(real, generated)


def test_subsets_by_masks_equal_subsets_by_hand() -> None:
    real, generated = features(40, 3, 0), features(44, 3, 1, shift=0.5)
    in_real, in_generated = (half_samples(n, 8, torch.Generator().manual_seed(n)) for n in (40, 44))
    found = manifold(real, generated, in_real, in_generated)
    by_hand = [figures(real[a], generated[b]) for a, b in zip(in_real, in_generated, strict=True)]
    for name in NAMES:
        np.testing.assert_allclose(found[name], [values[name] for values in by_hand], atol=1e-15)


def test_five_images_have_no_fifth_neighbour() -> None:
    with pytest.raises(TooFewImagesError, match="asked of 5 images; 6 are needed"):
        figures(features(20, 3, 0), features(5, 3, 1))
