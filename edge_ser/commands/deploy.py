"""``edge-ser deploy``: install and start on boards over ssh."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge_ser.bundle import load_bundle
from edge_ser.commands._arguments import count
from edge_ser.commands._output import add_output_argument, write_table
from edge_ser.commands.service import LISTEN
from edge_ser.deploy import Plan, Target, check_extras, check_prefix, deploy_all, read_hosts
from edge_ser.errors import EdgeSerError
from edge_ser.files import check_place, write_json
from firmware_py.service import Unit, refuse_homes

__all__ = ["add_arguments", "run"]

_SERVICE = "edge-ser"
_EPILOG = """\
Each board: checked (Python, room, sudo), the wheel and the model copied, a release built beside the one that runs,
tried there; then the link PREFIX/current moves to it in one rename and the service starts with it. Where it does not
start, link and service go back. Killed at any moment, the old release stays or comes back with the next deploy.
The last two releases are kept. Of two deploys to a board at once, the one that began first ends and says so.

examples:
  edge-ser deploy pi@raspberrypi.local
  edge-ser deploy pi@kitchen pi@hall --model my-bundle --reports reports/
  edge-ser deploy --hosts boards.txt --extras litert,mic --listen "mic:usb --doze --log usb.csv"
  edge-ser deploy pi@zero --wheel dist/edge_ser-0.1-py3-none-any.whl --no-index --wheel numpy-....whl
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the command's arguments."""
    parser.description = (
        "Install on boards over ssh, start the service, bring the report of `edge-ser bench` home."
    )
    parser.epilog = _EPILOG
    parser.add_argument("host", nargs="*", metavar="USER@HOST", help="a board")
    parser.add_argument("--hosts", metavar="FILE", help="a list of boards, one a line")
    parser.add_argument(
        "--wheel",
        action="append",
        type=Path,
        metavar="FILE",
        help="a wheel to install from; may be repeated (default: one built from this checkout, without compiled parts)",
    )
    parser.add_argument("--extras", default="", metavar="A,B", help="extras to install, such as litert,mic")
    parser.add_argument("--no-index", action="store_true", help="pip on the board takes given wheels only")
    parser.add_argument(
        "--model", metavar="NAME|FOLDER", help="a bundle that goes with it (default: the shipped one)"
    )
    parser.add_argument("--service", metavar="NAME", help=f"its name (default {_SERVICE})")
    parser.add_argument("--no-service", action="store_true", help="install and measure only")
    parser.add_argument("--listen", metavar="ARGUMENTS", help=f"of `edge-ser listen` (default: {LISTEN})")
    parser.add_argument("--prefix", default="/opt/edge-ser", help="where on the board (default %(default)s)")
    parser.add_argument("--python", default="python3", help="the board's interpreter (default %(default)s)")
    parser.add_argument("--port", type=int, help="of ssh")
    parser.add_argument("--identity", metavar="FILE", help="a key for ssh")
    parser.add_argument(
        "--ssh-option", action="append", default=[], metavar="NAME=VALUE", help="further -o of ssh"
    )
    parser.add_argument("--jobs", type=count, default=8, help="boards at once (default %(default)s)")
    parser.add_argument("--reports", metavar="DIR", help="write each board's report to DIR/HOST.json")
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Deploy; 1 when a board failed."""
    hosts = [*args.host, *(read_hosts(args.hosts) if args.hosts is not None else [])]
    if not hosts:
        raise EdgeSerError("name a board: edge-ser deploy pi@raspberrypi.local, or --hosts FILE")
    check_prefix(args.prefix)
    service = ""
    if args.no_service:
        for option, given in (("--service", args.service), ("--listen", args.listen)):
            if given is not None:
                raise EdgeSerError(f"{option} is of a service, and --no-service wants none: leave one out")
    else:
        service = _SERVICE if args.service is None else args.service
        advice = "name another --prefix, such as /opt/edge-ser, or --no-service"
        refuse_homes(args.prefix, advice, here=False)
    if args.reports is not None:  # before minutes on boards whose reports would be lost
        check_place(Path(args.reports) / "HOST.json")
    from edge_ser.commands.listen import words_of_listen  # here, as it brings all that listens

    # Before a wheel is built.
    words = words_of_listen(LISTEN if args.listen is None else args.listen)
    if args.model is not None and any(word.partition("=")[0] == "--model" for word in words):
        raise EdgeSerError("--model and the --model in --listen both say what listens: leave one out")
    if service:  # what a unit cannot hold is refused here
        Unit(["/" + _SERVICE, "listen", *words], name=service).text()
    listen = shlex.join(words)
    targets = [
        Target(host, args.port, args.identity, tuple(args.ssh_option)) for host in dict.fromkeys(hosts)
    ]
    model = load_bundle(args.model).path if args.model is not None else None
    with tempfile.TemporaryDirectory() as folder:
        wheels = args.wheel or [_build(Path(folder))]
        if args.extras:
            check_extras(wheels, args.extras)
        plan = Plan(
            wheels=wheels,
            requirement=f"edge-ser[{args.extras}]" if args.extras else "edge-ser",
            index=not args.no_index,
            model=model,
            service=service,
            listen=listen,
            prefix=args.prefix,
            python=args.python,
        )
        results = deploy_all(targets, plan, jobs=args.jobs, progress=_progress)
    if args.reports is not None:
        for result in results:
            if result["ok"]:
                write_json(Path(args.reports) / f"{result['host']}.json", result["bench"])
    write_table([_row(result) for result in results], args.output, document={"boards": results})
    return 0 if all(result["ok"] for result in results) else 1


def _row(result: dict[str, Any]) -> dict[str, Any]:
    row = {"host": result["host"], "ok": result["ok"]}
    if not result["ok"]:
        return row | {"reason": result["reason"]}
    board, runs = result["board"], [run for run in result["bench"]["runs"] if run.get("ok")]
    best = min(runs, key=lambda run: run["duty_cycle"]) if runs else {}
    return row | {
        "board": board.get("board") or board.get("arch"),
        "python": board.get("python"),
        "engine": best.get("engine"),
        "step ms": best.get("step_ms", {}).get("p50"),
        "core": best.get("duty_cycle"),
        "MB": best.get("rss_mb", {}).get("peak"),
        "release": result["release"],
        "before": result["before"] or None,
    }


def _build(folder: Path) -> Path:
    """A wheel of this checkout that runs on any machine."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "pyproject.toml").exists():
        raise EdgeSerError("this is no checkout to build a wheel from; give --wheel FILE")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(root)]
    built = subprocess.run(
        command, env=os.environ | {"EDGE_SER_BUILD": "numpy"}, capture_output=True, text=True, check=False
    )
    wheels = list(folder.glob("*.whl"))
    if built.returncode or len(wheels) != 1:
        last = built.stderr.strip().splitlines()[-1:] or ["no message"]
        raise EdgeSerError(f"the wheel cannot be built ({last[0]}); give --wheel FILE")
    return wheels[0]


def _progress(host: str, step: str) -> None:
    print(f"edge-ser: {host}: {step}", file=sys.stderr, flush=True)
