"""Figures of generators whose quality is known, and the stages that write them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gen import config, files
from gen.config import Params
from gen.datasets import Prepared
from gen.errors import BadParamsError, TooFewImagesError, UserError
from gen.measure import Measurement, measure, pictures
from gen.metrics.frechet import Gaussian
from gen.reference import Reference, generated_count
from gen.steps.extractor import extractor
from gen.steps.reference import reference
from gen.workspace import Workspace
from tests.gen.world import (
    COUNTS,
    PARAMS,
    SETTINGS,
    Copier,
    Flat,
    Memory,
    Negative,
    Replay,
    build,
    opened,
    published,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Params]:
    return build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def real(world: tuple[Workspace, Params]) -> tuple[Prepared, Reference]:
    return opened(world[0], "bars")


@pytest.fixture(scope="module")
def negatives(world: tuple[Workspace, Params]) -> tuple[Prepared, Reference]:
    return opened(world[0], "negatives")


def values(measured: Measurement) -> dict[str, float]:
    return {figure.name: figure.value for figure in measured.figures}


def test_a_perfect_generator_scores_the_floor(real: tuple[Prepared, Reference]) -> None:
    measured = measure(published(Replay()), *real, SETTINGS)
    frechet, kernel = measured.figures[:2]
    assert measured.deciding is frechet
    assert frechet.spread is not None
    assert abs(frechet.value - frechet.floor) < 6 * frechet.spread
    assert frechet.value < frechet.baseline / 50
    assert abs(kernel.value) < 6 * kernel.spread
    assert measured.classes is not None
    assert measured.classes.shares == pytest.approx([1 / 3] * 3, abs=0.12)


def test_worse_generators_score_worse(real: tuple[Prepared, Reference]) -> None:
    scores = [values(measure(published(network), *real, SETTINGS)) for network in (Replay(), Replay(0.3), Replay(1.0))]
    for name in ("frechet", "kernel"):
        assert scores[0][name] < scores[1][name] < scores[2][name]


def test_fidelity_coverage_and_memorisation_of_generators_that_are_known(real: tuple[Prepared, Reference]) -> None:
    """Of a perfect one, one that shows training images, one that knows two of three shapes, and a collapsed one."""
    perfect, copier, partial, collapsed = (
        {figure.name: figure for figure in measure(published(network), *real, SETTINGS).figures}
        for network in (Replay(), Copier(), Replay(kinds=(0, 1)), Flat())
    )
    for name in ("precision", "recall", "density", "coverage"):
        assert perfect[name].floor == pytest.approx(perfect[name].value, abs=0.2)
        assert perfect[name].baseline < 0.1
    assert partial["coverage"].value < 0.8 * perfect["coverage"].value
    assert partial["precision"].value > 0.8
    assert collapsed["coverage"].value < 0.1
    assert copier["authenticity"].value == 0
    assert copier["near_duplicates"].parts == {"exact": 1, "close": 0}
    assert copier["copied_share"].value == pytest.approx(1)
    assert copier["copying"].value < -5
    for sound in (perfect, partial):
        assert sound["near_duplicates"].value < 0.1
        assert sound["near_duplicates"].parts["exact"] == 0
        assert sound["copied_share"].value < 3 * sound["copied_share"].spread
    assert abs(perfect["copying"].value) < 4
    assert copier["copied_share_pixels"].value == copier["copied_closely_pixels"].value == pytest.approx(1)
    assert perfect["copied_share_pixels"].value < 3 * perfect["copied_share_pixels"].spread
    assert copier["copied_share_pixels"].card.preprocessing == "uint8 / 255"
    assert copier["copied_share_pixels"].card.extractor is None


def test_figures_say_which_way_is_better(real: tuple[Prepared, Reference]) -> None:
    figures = {figure.name: figure for figure in measure(published(Replay()), *real, SETTINGS).figures}
    higher = {name for name, figure in figures.items() if figure.lower_is_better is False}
    assert higher == {"precision", "recall", "density", "coverage", "authenticity", "classifier_score_by_bars"}
    assert figures["precision"].cost == -figures["precision"].value
    assert figures["frechet"].cost == figures["frechet"].value
    with pytest.raises(ValueError, match="neither direction"):
        _ = figures["copying"].cost


def test_translations_are_held_against_the_training_images_of_their_target(
    negatives: tuple[Prepared, Reference],
) -> None:
    """The images of domain a are unlike any of b, and their true translations are new."""
    right = values(measure(published(Negative(-1), "translate"), *negatives, SETTINGS))
    idle = values(measure(published(Negative(1), "translate"), *negatives, SETTINGS))
    assert right["coverage"] > 0.8
    assert idle["coverage"] < 0.1
    assert right["near_duplicates"] < 0.1


def test_the_same_measurement_twice_gives_the_same_figures(real: tuple[Prepared, Reference]) -> None:
    one, other = (measure(published(Replay()), *real, SETTINGS) for _ in range(2))
    assert one.to_json() == other.to_json()
    reseeded = measure(published(Replay()), *real, SETTINGS.model_copy(update={"seed": 1}))
    assert values(reseeded) != values(one)
    assert reseeded.deciding.card.eval_id != one.deciding.card.eval_id


def test_counts_follow_the_least_and_stand_in_the_card(
    real: tuple[Prepared, Reference], negatives: tuple[Prepared, Reference]
) -> None:
    assert generated_count(real[0], samples=5000) == COUNTS["train"]
    assert generated_count(real[0], samples=200) == 200
    assert generated_count(negatives[0], samples=200) == COUNTS["report"]
    assert measure(published(Replay()), *real, SETTINGS).deciding.card.counts == {"generated": 200, "real": 120}


def test_broken_weights_give_no_figure(real: tuple[Prepared, Reference]) -> None:
    measured = measure(published(Replay(float("nan"))), *real, SETTINGS)
    assert np.isnan(list(values(measured).values())).all()
    assert {figure["value"] for figure in measured.to_json()["figures"]} == {None}


def test_an_autoencoder_is_measured_by_its_errors_and_its_bound(real: tuple[Prepared, Reference]) -> None:
    measured = measure(published(Memory(error=0.1)), *real, SETTINGS)
    figures = {figure.name: figure for figure in measured.figures}
    assert measured.rank_by == "frechet"
    assert figures["reconstruction_error"].value == pytest.approx(0.1**2, rel=0.05)
    train, report = (real[0].images(split, "images")[:] / 127.5 - 1 for split in ("train", "report"))
    by_hand = np.square(report - train.mean(0)).mean()
    assert figures["reconstruction_error"].baseline == pytest.approx(by_hand, rel=1e-3)
    bound = figures["negative_elbo"]
    assert bound.value == pytest.approx(100, abs=0.01)
    assert bound.parts == {"nll": pytest.approx(90, abs=0.01), "kl": 10}
    assert bound.card.protocol == "gaussian likelihood of images as they are, 1 posterior sample"
    tighter = figures["negative_iwae"]
    assert tighter.value == pytest.approx(95, abs=0.01)
    assert tighter.card.protocol == "gaussian likelihood of images as they are, 64 posterior samples"
    assert (figures["active_units"].value, figures["active_units"].unit) == (1, "of 1 latents")
    decibels = figures["reconstruction_psnr"]
    assert decibels.value == pytest.approx(10 * np.log10(4 / figures["reconstruction_error"].value))
    assert decibels.baseline == pytest.approx(10 * np.log10(4 / by_hand), rel=1e-3)
    assert 0 < figures["reconstruction_ssim"].baseline < 0.5 < figures["reconstruction_ssim"].value < 1
    assert all(figures[name].lower_is_better is False for name in ("reconstruction_psnr", "reconstruction_ssim"))


def test_bounds_of_other_binarisations_and_of_other_samples_are_never_ranked_together(
    real: tuple[Prepared, Reference],
) -> None:
    identities = set()
    for samples in (8, 512):
        for binarisation in ("none", "static", "dynamic"):
            memory = Memory(error=0.1)
            memory.binarisation = binarisation
            settings = SETTINGS.model_copy(update={"posterior_samples": samples})
            figures = measure(published(memory), *real, settings).named
            protocol = figures["negative_iwae"].card.protocol
            assert protocol is not None
            assert protocol.endswith(f", {samples} posterior samples")
            assert ("binarised" in protocol) == (binarisation != "none")
            identities.add(figures["negative_iwae"].card.eval_id)
            identities.add(figures["negative_elbo"].card.eval_id)
    assert len(identities) == 3 + 6


def test_the_true_translation_has_no_error_and_none_has_the_baseline(negatives: tuple[Prepared, Reference]) -> None:
    right, idle = (measure(published(Negative(sign), "translate"), *negatives, SETTINGS) for sign in (-1, 1))
    assert right.deciding.name == idle.deciding.name == "pair_error"
    assert right.deciding.value == 0
    assert idle.deciding.value == idle.deciding.baseline == right.deciding.baseline > 1
    assert values(right)["frechet"] < values(idle)["frechet"] / 10


def test_without_pairs_a_translator_is_ranked_by_its_distance(
    negatives: tuple[Prepared, Reference], tmp_path: Path
) -> None:
    shutil.copytree(negatives[0].folder, tmp_path / "unpaired")
    shutil.rmtree(tmp_path / "unpaired" / "report" / "pairs")
    measured = measure(published(Negative(-1), "translate"), Prepared(tmp_path / "unpaired"), negatives[1], SETTINGS)
    assert measured.rank_by == "frechet"
    assert "pair_error" not in values(measured)


def test_pictures_show_the_same_noise(real: tuple[Prepared, Reference], negatives: tuple[Prepared, Reference]) -> None:
    made = pictures(published(Memory(0.1)), real[0], SETTINGS)
    assert list(made) == ["samples", "reconstructions"]
    assert made["samples"].shape == (8 * 14 - 2, 8 * 14 - 2, 1)
    np.testing.assert_array_equal(made["samples"], pictures(published(Replay()), real[0], SETTINGS)["samples"])
    translated = pictures(published(Negative(-1), "translate"), negatives[0], SETTINGS)["translations"]
    assert translated.shape == (3 * 14 - 2, 3 * 4 * 14 - 2, 1)


def test_halves_that_are_too_small_give_no_spread(real: tuple[Prepared, Reference]) -> None:
    prepared, whole = real
    few = replace(whole, features=whole.features[:30])
    frechet, kernel = measure(published(Replay()), prepared, few, SETTINGS).figures[:2]
    assert frechet.spread is None
    assert kernel.spread is not None


def test_a_reference_of_too_few_images_is_refused(world: tuple[Workspace, Params], tmp_path: Path) -> None:
    """60 images in `select`, and 64 features."""
    workspace = Workspace(tmp_path)
    shutil.copytree(world[0].root / "data", tmp_path / "data")
    _train_extractor(workspace, dimension=64)
    with pytest.raises(TooFewImagesError, match="64 dimensions was asked of 60 images"):
        reference(workspace, world[1], "bars")


def _train_extractor(workspace: Workspace, dimension: int) -> None:
    from gen import teaching
    from tests.gen.world import lesson

    with files.fresh_folder(workspace.extractor("bars")) as folder:
        teaching.train(
            lesson(60, 0), lesson(60, 1), ["a", "b", "c"], dimension=dimension, dataset="bars", data="0", budget=64
        ).save(folder)


def test_a_reference_is_the_same_twice_and_refused_when_changed(
    world: tuple[Workspace, Params], tmp_path: Path
) -> None:
    shutil.copytree(world[0].root / "data", tmp_path / "data")
    workspace = Workspace(tmp_path)
    reference(workspace, world[1], "bars")
    places = [(made.reference("bars"), made.features("bars")) for made in (workspace, world[0])]
    (folder, features), others = places
    assert [files.manifest_digest(place) for place in places[0]] == [files.manifest_digest(place) for place in others]
    with pytest.raises(UserError, match="were not made together"):
        Reference.load(folder, workspace.features("negatives"))
    (features / "report" / "mean.npy").write_bytes(b"")
    with pytest.raises(UserError, match=r"mean.npy was changed"):
        Reference.load(folder, features)


def test_the_root_of_the_real_side_is_kept_and_verified(world: tuple[Workspace, Params], tmp_path: Path) -> None:
    shutil.copytree(world[0].root / "data", tmp_path / "data")
    places = (Workspace(tmp_path).reference("bars"), Workspace(tmp_path).features("bars"))
    gaussian = Reference.load(*places).gaussian
    np.testing.assert_array_equal(gaussian.known_root, Gaussian(gaussian.mean, gaussian.covariance).root)
    file = places[1] / "report" / "root.npy"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match=r"root.npy was changed"):
        Reference.load(*places)


def test_few_features_are_kept_of_many_images_and_all_of_them_count(
    world: tuple[Workspace, Params], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gen.reference.MOST", 50)
    shutil.copytree(world[0].root / "data", tmp_path / "data")
    workspace = Workspace(tmp_path)
    reference(workspace, world[1], "bars")
    few, whole = (Reference.load(made.reference("bars"), made.features("bars")) for made in (workspace, world[0]))
    assert (len(few.train), len(few.features)) == (50, 50)
    assert (len(whole.train), len(whole.features)) == (COUNTS["train"], COUNTS["report"])
    np.testing.assert_array_equal(few.gaussian.covariance, whole.gaussian.covariance)
    assert few.floor["frechet"] == whole.floor["frechet"]
    facts, all_facts = (files.read_json(made.features("bars") / "features.json") for made in (workspace, world[0]))
    assert facts == all_facts


def test_settings_of_the_judge_leave_the_features_alone(world: tuple[Workspace, Params], tmp_path: Path) -> None:
    """So a training, which selects its best step in them, does not run again."""
    shutil.copytree(world[0].root / "data", tmp_path / "data")
    workspace = Workspace(tmp_path)
    judge = {**PARAMS["judge"], "samples": 100}
    reference(workspace, config.from_values({**PARAMS, "judge": judge}), "bars")
    digests = [
        [files.manifest_digest(place("bars")) for place in (made.features, made.reference)]
        for made in (workspace, world[0])
    ]
    assert digests[0][0] == digests[1][0]
    assert digests[0][1] != digests[1][1]


def test_an_extractor_needs_a_dataset_of_its_name(tmp_path: Path) -> None:
    with pytest.raises(BadParamsError, match=r"`inception`.*bars, negatives"):
        extractor(Workspace(tmp_path), config.from_values(PARAMS), "inception")


def test_the_stage_writes_figures_pictures_and_who_it_is(finished: Workspace) -> None:
    expected = {"gan": {"samples"}, "vae": {"samples", "reconstructions"}, "cyclegan": {"translations"}}
    for model, pictured in expected.items():
        folder = finished.evaluate(model)
        files.verify(folder)
        assert {path.stem for path in folder.glob("*.png")} == pictured | {"closest-features", "closest-pixels"}
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["rank_by"] in {figure["name"] for figure in metrics["figures"]}
        assert len(metrics["classes"]["shares"]) == 10
        assert all(figure["value"] is not None and figure["spread"] is not None for figure in metrics["figures"])
        run = json.loads((folder / "run.json").read_text())
        assert finished.train(model).relative_to(finished.root).as_posix() in run["inputs"]
        assert f"gen/families/{metrics['family']}.py" in run["code"]
