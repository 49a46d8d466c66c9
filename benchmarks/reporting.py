"""How long a report on a whole corpus takes, and whether it is the same twice.

    python -m benchmarks.reporting                results/reporting.json; stream72k on RAVDESS

Both runs are `edge-ser evaluate MODEL --corpus CORPUS --report` in a process of its own. Beside the seconds that passed
stand those of processor time: where other work keeps the cores, only the latter say anything of ours.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.running import place, run_main
from edge_ser.errors import EdgeSerError
from edge_ser.files import parse_json_object, write_json
from firmware_py.machine import describe_machine

ROOT = Path(__file__).parents[1]


def report(model: str, corpus: str, folder: Path) -> dict[str, float]:
    """Make one; seconds that passed and of processor time."""
    command = [
        sys.executable,
        "-m",
        "edge_ser",
        "evaluate",
        model,
        "--corpus",
        corpus,
        "--report",
        str(folder),
    ]
    began, before = time.monotonic(), os.times()
    # What stopped it, it has said itself.
    if subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL).returncode:
        raise EdgeSerError(f"no report of {model} on {corpus}")
    after = os.times()
    return {
        "seconds": round(time.monotonic() - began, 1),
        "cpu_s": round(sum(after[2:4]) - sum(before[2:4]), 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="stream72k")
    parser.add_argument("--corpus", default="ravdess")
    parser.add_argument("--out", type=place, default=ROOT / "results" / "reporting.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / "first", Path(name) / "second"]
        runs = [report(args.model, args.corpus, folder) for folder in folders]
        made = [sorted(path.name for path in folder.iterdir()) for folder in folders]
        same = made[0] == made[1] and all(
            (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes() for file in made[0]
        )
        figures = parse_json_object((folders[0] / "figures.json").read_bytes(), "figures.json")
    document = {
        "machine": describe_machine(), "load": os.getloadavg()[0], "model": args.model, "corpus": args.corpus,
        "clips": figures["clips"], "runs": runs, "identical": same,
    }  # fmt: skip
    print(document["runs"], "identical" if same else "NOT identical", file=sys.stderr)
    write_json(args.out, document)
    return 0 if same else 1


if __name__ == "__main__":
    run_main(main)
