"""What a retrain costs: the first, one with nothing changed, `dvc repro` after it, and `genflows --help`.

`python benchmarks/pipeline.py` works in a clone of its own in a temporary folder. Prints a table and a line of JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def main() -> None:
    """Time each command in a fresh clone."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        rows = {
            "genflows retrain, first": [timed(clone, "genflows", "retrain")],
            "genflows retrain, nothing changed": [timed(clone, "genflows", "retrain") for _ in range(3)],
            "dvc repro, nothing changed": [timed(clone, "dvc", "repro") for _ in range(5)],
            "genflows --help": [timed(clone, "genflows", "--help") for _ in range(7)],
        }
    print(f"{'command':36} {'median s':>9} {'range':>15}")
    for name, seconds in rows.items():
        print(f"{name:36} {statistics.median(seconds):9.2f} {min(seconds):7.2f}-{max(seconds):.2f}")
    print(json.dumps(rows))


def timed(folder: Path, program: str, *arguments: str) -> float:
    """Seconds of one command, which must succeed."""
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(folder)}
    clock = time.perf_counter()
    subprocess.run([BIN / program, *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - clock


if __name__ == "__main__":
    main()
