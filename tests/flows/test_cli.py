"""The command `genflows` as a user meets it: real processes, their output and exit codes."""

import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flows import cli
from gen import files
from gen.workspace import Workspace
from tests.conftest import ROOT, TINY, environment, make_workspace
from tests.flows.conftest import Here

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie

GENFLOWS = (sys.executable, "-m", "flows.cli")
HEAVY = {"torch", "mlflow", "prefect", "dvc", "pandas", "numpy", "pydantic", "rich.table"}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A tiny workspace in which nothing has run, and nothing that these tests do changes it."""
    return make_workspace(tmp_path_factory.mktemp("untouched") / "workspace")


def genflows(place: Workspace, *arguments: str, answer: str = "", **extra: str) -> "subprocess.CompletedProcess[str]":
    """Run the command as a process of its own."""
    return subprocess.run(
        [*GENFLOWS, *arguments],
        cwd=place.root,
        env=environment(place.root) | {"COLUMNS": "80"} | extra,
        input=answer,
        capture_output=True,
        text=True,
    )


def done(place: Workspace, *arguments: str, answer: str = "", **extra: str) -> str:
    """Run the command as a process of its own and return what it printed; it has to succeed."""
    ended = genflows(place, *arguments, answer=answer, **extra)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def dead_server() -> str:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_help_lists_every_command_and_imports_nothing_heavy(here: Here, tmp_path: Path) -> None:
    shown = here.done(tmp_path, "--help")
    manual = (ROOT / "docs" / "reference" / "cli.md").read_text()
    for commands in cli.COMMANDS.values():
        for command in commands:
            assert f" {command.__name__} " in shown
            assert f"| `{command.__name__}" in manual
    loaded = f"import flows.cli, sys; print(*sorted({HEAVY!r} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", loaded], cwd=ROOT, text=True).strip() == ""


@pytest.mark.parametrize("arguments", [[command.__name__, "--help"] for of in cli.COMMANDS.values() for command in of])
def test_every_command_explains_itself(here: Here, arguments: list[str], tmp_path: Path) -> None:
    assert "Usage: genflows" in here.done(tmp_path, *arguments)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ingest", "digit"], 2, "no dataset `digit`. Did you mean `digits`?"),
        (["extractor", "digit"], 2, "Did you mean `digits`?"),
        (["extractor", "--weights", "official"], 2, "give its NAME, --architecture and --weights together"),
        (["extractor", "fid", "--tap", "64"], 2, "give its NAME, --architecture and --weights together"),
        (["extractor", "fid", "--architecture", "vgg", "--weights", "x"], 2, "No architecture of extractors is called"),
        (["extractor", "fid", "--architecture", "lenet", "--weights", "nowhere"], 1, "nowhere is missing"),
        (["start"], 2, "No model begins from a champion. Set a model's `init` to `champion-of-DATASET` first."),
        (["publish", "gam"], 2, "no model `gam`. Did you mean `gan`?"),
        (["judge", "digit"], 2, "Did you mean `digits`?"),
        (["data", "digit"], 2, "Did you mean `digits`?"),
        (["data", "--restore", "abc"], 2, "Name the dataset first, one of: digits, edges"),
        (["data", "digits", "--diff", "abc", "def"], 1, "no versions named `abc`"),
        (["generate", "--model", "gam"], 2, "no model `gam`. Did you mean `gan`?"),
        (["generate", "--model", "gan"], 1, "`gan` is not trained yet. Run `genflows retrain`"),
        (["generate"], 1, "no champion of the task `sample` yet"),
        (["generate", "--out", "grid.jpg"], 2, "Name it grid.png"),
        (["translate", "nowhere", "out"], 2, "nowhere does not exist"),
        (["promote", "digits-sample/1"], 2, "Nothing is registered yet"),
        (["rollback", "digits-sample"], 2, "No registered model `digits-sample`"),
        (["compare"], 1, "No model is measured yet. Run `genflows retrain`"),
        (["--set", "models.gan.latent_dm=3"], 2, "Did you mean `latent_dim`?"),
        (["--set", "models.gan.init=champion-of-digts"], 2, "Did you mean `champion-of-digits`?"),
        (["retrain", "--set", "models.gam.latent_dim=3"], 2, "Did you mean `gan`?"),
        (["init", "--minutes", "0"], 2, "--minutes is 0, but training takes some time"),
        (["init", "--minutes", "nan"], 2, "--minutes is nan"),
        (["init", "--minutes", "3", "vae", "gam"], 2, "no model `gam`. Did you mean `gan`?"),
        (["retrain", "--dry-run", "--set", "models.gan.seed=3"], 2, "--dry-run changes nothing"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_paragraph(
    here: Here, untouched: Workspace, arguments: list[str], code: int, words: str
) -> None:
    ended = here(untouched, *arguments)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert words in ended.stderr
    assert ended.stderr.startswith("genflows: ")
    assert len(ended.stderr.splitlines()) == 1
    assert untouched.params_file.read_text() == TINY


def test_a_params_file_that_cannot_be_used_is_a_wrong_call(here: Here, tiny: Workspace) -> None:
    tiny.params_file.write_text(TINY.replace("latent_dim: 8", "latent_dim: many", 1))
    ended = here(tiny, "publish", "gan")
    assert ended.returncode == 2
    assert "`models.gan.latent_dim` is 'many'" in ended.stderr


def test_outside_of_a_workspace_it_says_so(here: Here, tmp_path: Path) -> None:
    ended = here(tmp_path, "data")
    assert ended.returncode == 1
    assert "No workspace here" in ended.stderr


@pytest.mark.parametrize("arguments", [["--debug", "data", "digit"], ["data", "digit", "--debug"]])
def test_a_traceback_is_shown_when_asked_for(untouched: Workspace, arguments: list[str]) -> None:
    ended = genflows(untouched, *arguments)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


def test_set_edits_alone_and_before_a_command(here: Here, tiny: Workspace) -> None:
    here.done(tiny, "--set", "models.vae.latent_dim=32", "--set", "models.gan.batch=16")
    text = tiny.params_file.read_text()
    assert "latent_dim: 32" in text
    assert "batch: 16" in text
    assert "gan:  # the smallest of its kind" in text


def test_the_plan_of_a_fresh_workspace_is_to_run_everything(
    here: Here, tiny: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    before = _own_files(tiny)
    shown = here.done(tiny, "retrain", "--dry-run")
    assert "11 of 11 stages would run, about " in shown
    assert "plus 8 that never ran here" in shown
    estimated = [line.split()[0] for line in shown.splitlines() if " ~" in line]
    assert sorted(estimated) == ["train@cyclegan", "train@gan", "train@vae"]
    assert max(map(len, shown.splitlines())) <= 81
    assert _own_files(tiny) == before


def _own_files(workspace: Workspace) -> dict[Path, int]:
    """All files and when they were changed, but what DVC keeps for itself."""
    kept = (workspace.root / ".dvc", workspace.private / "dvc")
    return {
        path: path.stat().st_mtime_ns
        for path in workspace.root.rglob("*")
        if path.is_file() and not any(path.is_relative_to(folder) for folder in kept)
    }


def test_init_writes_budgets_and_nothing_else(here: Here, tiny: Workspace) -> None:
    shown = here.done(tiny, "init", "--minutes", "2", "gan")
    (number,) = re.findall(r"\ngan +[\d,.]+ +512 +([\d,]+) +[12] min ", shown)
    images = int(number.replace(",", ""))
    assert images > 512
    assert tiny.params_file.read_text() == TINY.replace("images: 512", f"images: {images}", 1)


def test_init_says_which_intervals_it_shortened(here: Here, tiny: Workspace) -> None:
    shown = here.done(tiny, "init", "--minutes", "1e-6", "gan")
    assert "gan: log_every is 8, checkpoint_every is 16, ema_half_life is 8 now" in shown
    changes = {"images: 512": "images: 32", "ema_half_life: 128": "ema_half_life: 8", "log_every: 128": "log_every: 8"}
    expected = TINY
    for old, new in {**changes, "checkpoint_every: 256": "checkpoint_every: 16"}.items():
        expected = expected.replace(old, new, 1)
    assert tiny.params_file.read_text() == expected


def test_what_cannot_be_timed_is_told_in_one_paragraph(here: Here, tiny: Workspace) -> None:
    tiny.params_file.write_text(TINY.replace("device: cpu", "device: cuda"))
    if subprocess.run([sys.executable, "-c", "import sys, torch; sys.exit(torch.cuda.is_available())"]).returncode:
        pytest.skip("it can be timed here")
    ended = here(tiny, "init", "--minutes", "1", "vae")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "How fast `vae` trains could not be measured: params.yaml: `machine.device` is cuda" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_second_retrain_leaves_and_changes_nothing(tiny: Workspace) -> None:
    with files.lock(tiny.private / "retrain.lock"):
        for arguments in (["retrain", "--set", "models.gan.batch=16"], ["ingest"], ["clean", "--yes"]):
            ended = genflows(tiny, *arguments)
            assert ended.returncode == 4
            assert "is at work" in ended.stderr
    assert tiny.params_file.read_text() == TINY


def test_an_interrupted_command_leaves_nothing_behind(tiny: Workspace) -> None:
    command = subprocess.Popen(
        [*GENFLOWS, "ingest"],
        cwd=tiny.root,
        env=environment(tiny.root),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout
    command.stdout.readline()  # its step has begun to work
    command.send_signal(signal.SIGINT)
    _, told = command.communicate(timeout=60)
    assert command.returncode == 130
    assert "interrupted" in told.lower()
    assert not list((tiny.root / "data").rglob("*.partial"))


def test_without_mlflow_a_command_says_what_is_owed(
    here: Here, copied: Workspace, dead_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dead_server)
    for arguments in (["models"], ["publish", "gan"], ["compare"]):
        ended = here(copied, *arguments)
        assert ended.returncode == 3, ended.stderr
        assert "genflows publish" in ended.stderr
        assert ("vae" in ended.stdout) == (arguments == ["compare"])  # what lies here is compared all the same


def test_no_room_on_the_disk_keeps_what_was_there(finished: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "grid.png"
    out.write_bytes(b"the old one")
    ended = subprocess.run(
        [*GENFLOWS, "generate", "--model", "gan", "--out", str(out)],
        cwd=finished.root,
        env=environment(finished.root) | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)),
    )
    assert ended.returncode == 1
    assert "`genflows clean`" in ended.stderr
    assert out.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [out]


def test_an_image_depends_on_the_seed_and_its_number_alone(here: Here, finished: Workspace, tmp_path: Path) -> None:
    for name, count, seed in (("few", "3", "5"), ("many", "70", "5"), ("other", "3", "6")):
        here.done(finished, "generate", "--model", "gan", "-n", count, "--seed", seed, "--out", str(tmp_path / name))
    few, many, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("few", "many", "other")
    )
    assert len(many) == 70
    assert few.items() <= many.items()
    assert not few.items() & other.items()


def test_a_grid_is_one_picture(here: Here, finished: Workspace, tmp_path: Path) -> None:
    here.done(finished, "generate", "--model", "vae", "-n", "9", "--out", str(tmp_path / "grid.png"))
    with Image.open(tmp_path / "grid.png") as grid:
        assert (grid.size, grid.mode) == ((3 * 28 + 4, 3 * 28 + 4), "L")


@pytest.fixture
def drawings(tmp_path: Path) -> Path:
    """Images as people have them: of any size and format, one of them damaged."""
    folder = tmp_path / "drawings"
    (folder / "deep").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "colour.jpg")
    Image.fromarray(pixels[:, :, 0]).save(folder / "deep" / "grey.png")
    (folder / "broken.png").write_bytes((folder / "deep" / "grey.png").read_bytes()[:100])
    (folder / ".hidden").write_text("not looked at")
    return folder


def test_a_folder_is_translated_but_for_what_is_no_image(
    here: Here, finished: Workspace, drawings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = here(finished, "translate", str(drawings), str(out), "--model", "cyclegan")
    assert ended.returncode == 1
    assert "1 of 3 files could not be used" in ended.stderr
    assert "broken.png" in ended.stderr
    made = {path.relative_to(out).as_posix() for path in out.rglob("*.png")}
    assert made == {"colour.png", "deep/grey.png"}
    with Image.open(out / "colour.png") as image:
        assert (image.size, image.mode) == ((28, 28), "L")


def test_one_image_is_translated_there_and_back(
    here: Here, finished: Workspace, drawings: Path, tmp_path: Path
) -> None:
    there, back = tmp_path / "there.png", tmp_path / "back.png"
    here.done(finished, "translate", str(drawings / "colour.jpg"), str(there), "--model", "cyclegan")
    here.done(finished, "translate", str(drawings / "colour.jpg"), str(back), "--model", "cyclegan", "--back")
    assert there.read_bytes() != back.read_bytes()


def test_two_inputs_never_become_one_output(here: Here, finished: Workspace, drawings: Path, tmp_path: Path) -> None:
    shutil.copy(drawings / "colour.jpg", drawings / "colour.png")
    ended = here(finished, "translate", str(drawings), str(tmp_path / "out"), "--model", "cyclegan")
    assert ended.returncode == 2
    assert "would both become one file" in ended.stderr


def test_a_model_is_used_for_its_own_task_alone(
    here: Here, finished: Workspace, drawings: Path, tmp_path: Path
) -> None:
    wrong = here(finished, "translate", str(drawings), str(tmp_path / "out"), "--model", "gan")
    assert "does not translate" in wrong.stderr
    wrong = here(finished, "generate", "--model", "cyclegan", "--out", str(tmp_path / "out.png"))
    assert "makes no images from noise" in wrong.stderr


def test_ingest_pins_what_trainings_begin_from_and_start_moves_it(
    here: Here, tiny: Workspace, dead_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.done(tiny, "--set", "models.gan.init=champion-of-digits")
    ended = here(tiny, "start", "champion-of-digit")
    assert (ended.returncode, "Did you mean `champion-of-digits`?" in ended.stderr) == (2, True)
    ended = here(tiny, "start")
    assert (ended.returncode, "Run `genflows ingest digits`" in ended.stderr) == (1, True)
    assert "`digits` has no champion yet, so trainings begin from random weights" in here.done(tiny, "ingest")
    assert tiny.start("champion-of-digits").with_suffix(".dvc").exists()
    assert "champion" not in here.done(tiny, "ingest"), "the images are what they were"
    assert "champion-of-digits: version" in here.done(tiny, "start")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dead_server)
    assert here(tiny, "start", "champion-of-digits").returncode == 3


def test_clean_asks_first(copied: Workspace) -> None:
    (copied.private / "checkpoints" / "some-key").mkdir(parents=True)
    (copied.private / "checkpoints" / "some-key" / "state").write_bytes(b"x" * 3000)
    kept = copied.private / "checkpoints"
    assert "2.9 KiB" in done(copied, "clean", "--dry-run")
    assert "Nothing was deleted" in done(copied, "clean", answer="n\n")
    assert kept.exists()
    assert "Deleted" in done(copied, "clean", "--yes")
    assert not kept.exists()


def test_doctor_leaves_with_1_when_something_is_wrong(here: Here, tiny: Workspace) -> None:
    assert "All is well." in here.done(tiny, "doctor")
    shutil.rmtree(tiny.root / ".dvc")
    ended = here(tiny, "doctor")
    assert ended.returncode == 1
    assert "FAIL  dvc" in ended.stdout
    assert "Fix: Run `dvc init`" in ended.stdout


def _get(url: str, host: str) -> int:
    request = urllib.request.Request(url, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_mlflows_pages_are_for_this_machine_and_end_with_the_command(tiny: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = subprocess.Popen(
        [*GENFLOWS, "ui", "--port", str(port)],
        cwd=tiny.root,
        env=environment(tiny.root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert command.stdout
    try:
        assert command.stdout.readline() == f"MLflow: http://127.0.0.1:{port} (Ctrl-C ends it)\n"
        for line in command.stdout:
            if "Uvicorn running" in line:
                break
        assert _get(f"http://127.0.0.1:{port}", f"127.0.0.1:{port}") == 200
        assert _get(f"http://127.0.0.1:{port}", "elsewhere.example") == 403
    finally:
        command.terminate()  # as Ctrl-C would
        command.communicate(timeout=60)
    assert command.returncode == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0  # the server has ended with it


def test_a_port_that_is_taken_is_no_surprise(here: Here, tiny: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = here(tiny, "ui", "--port", str(port))
    assert ended.returncode == 1
    assert f"`genflows ui --port {port + 1}`" in ended.stderr


@pytest.fixture(scope="module")
def retrained(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """A workspace after `genflows retrain`, and what that printed. Commands here may move the champion."""
    root = tmp_path_factory.mktemp("retrained") / "workspace"
    shutil.copytree(finished.root, root, symlinks=True)
    workspace = Workspace(root)
    return workspace, done(workspace, "retrain")


Retrained = tuple[Workspace, str]
together = pytest.mark.xdist_group("retrained")


@together
def test_a_retrain_ends_with_a_table_and_what_to_open_next(retrained: Retrained) -> None:
    _, shown = retrained
    table = shown[shown.index("model ") :].splitlines()
    assert table[0].split() == ["model", "dataset", "metric", "figure", "floor", "verdict"]
    assert {line.split()[0] for line in table[2:5]} == {"gan", "vae", "cyclegan"}
    assert max(map(len, table)) <= 80
    assert "nothing was trained" in shown
    assert "genflows generate" in table[-1]


@together
def test_registered_versions_are_listed_and_compared(here: Here, retrained: Retrained, tmp_path: Path) -> None:
    workspace, _ = retrained
    assert "champion" in here.done(workspace, "models", "digits-sample")
    page = tmp_path / "page.html"
    shown = here.done(workspace, "compare", "--csv", str(tmp_path / "table.csv"), "--html", str(page))
    assert max(len(line) for line in shown.splitlines() if not line.startswith("Wrote")) <= 80
    table = pd.read_csv(tmp_path / "table.csv")
    assert {"gan", "vae", "cyclegan", "digits-sample/1 (champion)"} <= set(table["model"])
    assert all(f"</i>{model}</span>" in page.read_text() for model in table["model"])
    alone = here.done(workspace, "compare", "vae", "digits-sample/1")
    assert "gan" not in alone.replace("cyclegan", "").replace("(champion)", "").split()
    assert here(workspace, "compare", "vee").returncode == 2
    first = table[(table["metric"] == "frechet") & (table["dataset"] == "digits")]
    assert first["eval_id"].nunique() == 1


@together
def test_the_champion_generates_by_default_and_by_name(here: Here, retrained: Retrained, tmp_path: Path) -> None:
    workspace, _ = retrained
    names: dict[str, list[str]] = {
        "default": [],
        "alias": ["--model", "digits-sample@champion"],
        "version": ["--model", "digits-sample/1"],
    }
    for name, model in names.items():
        here.done(workspace, "generate", "-n", "4", "--out", str(tmp_path / f"{name}.png"), *model)
    assert len({(tmp_path / f"{name}.png").read_bytes() for name in names}) == 1
    ended = here(workspace, "generate", "--model", "digits-sample/7")
    assert ended.returncode == 1
    assert "no version `7`" in ended.stderr


@together
def test_data_is_listed_compared_and_restored(here: Here, retrained: Retrained) -> None:
    workspace, _ = retrained
    assert "5,000" in here.done(workspace, "data", "digits")
    assert "images" in here.done(workspace, "data", "digits", "--diff", "current", "current")
    shutil.rmtree(workspace.raw("digits"))
    assert "is current" in here.done(workspace, "data", "digits", "--restore", "current")
    assert (workspace.raw("digits") / "index.csv").exists()


@together
def test_a_promotion_can_be_rolled_back(here: Here, retrained: Retrained) -> None:
    workspace, _ = retrained
    assert "champion already" in here.done(workspace, "promote", "digits-sample/1")
    refused = here(workspace, "rollback", "digits-sample")
    assert refused.returncode == 1
    assert "no previous champion" in refused.stderr
    assert "version 1 is champion" in here.done(workspace, "promote", "edges-translate/1")


def test_the_shell_completes_names(untouched: Workspace) -> None:
    extra = {"_GENFLOWS_COMPLETE": "complete_bash", "COMP_WORDS": "genflows publish ", "COMP_CWORD": "2"}
    assert genflows(untouched, **extra).stdout.split() == ["gan", "vae", "cyclegan"]
