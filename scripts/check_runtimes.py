#!/usr/bin/env python3
"""Run a bundle's files on the oldest runtimes that are supported: throw-away environments, results as JSON.

    python scripts/check_runtimes.py --out results/runtimes.json

Each environment gets its runtime and NumPy by pip, this checkout by PYTHONPATH, and runs `edge-ser verify --quick`
there; without torch the reference is the NumPy engine in fp32. Exit status 1 where a check failed, or a runtime ran no
file or cannot be had (the oldest have no wheels for Python 3.12 and later).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from benchmarks.running import place
from edge_ser.audio import wav_bytes
from edge_ser.evaluation.parity import recordings
from edge_ser.files import write_json

ROOT = Path(__file__).resolve().parents[1]

#: Engine, and what pip installs. tflite-runtime 2.14 and onnxruntime 1.17 were built for NumPy 1.
RUNTIMES = (
    ("onnx", ("onnxruntime==1.17.*", "numpy<2")),
    ("litert", ("tflite-runtime==2.14.*", "numpy<2")),
    ("onnx", ("onnxruntime", "numpy")),
    ("litert", ("ai-edge-litert", "numpy")),
)


def check(engine: str, packages: tuple[str, ...], model: str, wav: Path, folder: Path) -> dict[str, Any]:
    """What `edge-ser verify` says of an engine in an environment of its own."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    names = [re.split("[=<]", package)[0] for package in packages]
    wanted = {name: package.removeprefix(name) for name, package in zip(names, packages, strict=True)}
    row: dict[str, Any] = {"engine": engine, "versions": wanted, "ok": False, "checks": []}
    install = [python, "-m", "pip", "-q", "install", *packages]
    if subprocess.run(install, check=False, stdout=sys.stderr).returncode:
        return row | {"error": [f"pip cannot install {', '.join(packages)}"]}
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "json"], check=True, capture_output=True, text=True
    )
    versions = {one["name"]: one["version"] for one in json.loads(listed.stdout)}
    run = subprocess.run(
        [python, "-m", "edge_ser", "verify", model, str(wav), "--seconds", "10", "--quick", "-o", "json"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,  # 1 is an answer
    )
    row["versions"] = {name: versions[name] for name in names}
    if run.returncode not in (0, 1):
        return row | {"error": run.stderr.strip().splitlines()[-1:]}
    checks = [one for one in json.loads(run.stdout)["checks"] if one["engine"] == engine]
    ran = [one for one in checks if one["ok"] is not None]
    return row | {"ok": bool(ran) and all(one["ok"] for one in ran), "checks": checks}


def main() -> int:
    """Do it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="stream72k", help="name or bundle folder (default stream72k)")
    parser.add_argument("--out", type=place, help="where the JSON goes (default: standard output)")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        [wave] = recordings().values()
        wav = folder / "demo.wav"
        wav.write_bytes(wav_bytes(wave))
        for number, (engine, packages) in enumerate(RUNTIMES):
            print(f"{engine}: {', '.join(packages)}", file=sys.stderr)
            rows.append(check(engine, packages, args.model, wav, folder / str(number)))
            for line in rows[-1].get("error", []):
                print(f"{engine}: {line}", file=sys.stderr)
    document = {
        "model": args.model,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "runtimes": rows,
        "ok": all(row["ok"] for row in rows),
    }
    if args.out:
        write_json(args.out, document)
    else:
        print(json.dumps(document, indent=1))
    return 0 if document["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
