"""``edge-ser service``: listen as a systemd service."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys

import edge_ser
from edge_ser.commands._arguments import count, finite
from edge_ser.errors import EdgeSerError
from firmware_py.budget import read_budget
from firmware_py.service import INSTALL_FOR_ALL, SystemdHost, Unit, refuse_homes

__all__ = ["LISTEN", "add_arguments", "run"]

_EPILOG = """\
examples:
  sudo edge-ser service install                      the default microphone through arecord, answers to a rotated log
  sudo edge-ser service install --listen "mic:usb --doze --log usb.csv"
                                                     with other arguments of `edge-ser listen`
  sudo edge-ser service install --budget pi-zero.toml
                                                     rss_mb of a budget as the memory limit
  edge-ser service show                              the unit, without installing anything
  edge-ser service status -o json
  edge-ser service logs --follow
  sudo edge-ser service remove                       /var/lib/edge-ser and its logs stay

The service runs as a user of its own in the group audio, without network, and may write to /var/lib/edge-ser alone;
relative names of --log and --record lie there. It sees no homes: edge-ser and the models that it is to use lie
elsewhere (sudo sh scripts/install.sh). systemd starts it again when it ends, and ends it when it hangs.
"""
LISTEN = "arecord --doze -o jsonl --log answers.jsonl"
_MEMORY_MB, _LINES = 96, 100
_MADE = ("install", "show")
_ACTIONS = {  # that an option is for
    "--listen": _MADE, "--memory-mb": _MADE, "--budget": _MADE, "--program": _MADE, "--root": ("install", "remove"),
    "--follow": ("logs",), "--lines": ("logs",), "--output": ("status",),
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the command's arguments."""
    parser.description = "Install, show and remove a systemd service that listens."
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=("install", "status", "logs", "remove", "show"))
    parser.add_argument(
        "--listen",
        metavar="ARGUMENTS",
        help=f"arguments of `edge-ser listen`, in one word for the shell (default: {LISTEN})",
    )
    parser.add_argument("--name", default="edge-ser", help="of the service (default %(default)s)")
    parser.add_argument(
        "--memory-mb", type=finite, metavar="MB", help=f"its memory limit (default {_MEMORY_MB})"
    )
    parser.add_argument("--budget", metavar="FILE", help="take rss_mb of a budget as the limit")
    parser.add_argument(
        "--program",
        metavar="FILE",
        help="the edge-ser that runs, by its absolute path, with --root that in the image (default: this one)",
    )
    parser.add_argument(
        "--root", metavar="DIR", help="install, remove: in a system image; nothing is started or stopped"
    )
    parser.add_argument("--follow", action="store_true", help="logs: go on with what comes")
    parser.add_argument("--lines", type=count, metavar="N", help=f"logs: so many (default {_LINES})")
    parser.add_argument("-o", "--output", choices=("text", "json"), help="status: default text")


def run(args: argparse.Namespace) -> int:
    """Act; status is 1 where the service does not run."""
    for option, actions in _ACTIONS.items():
        given = getattr(args, option.removeprefix("--").replace("-", "_"))
        if given is not None and given is not False and args.action not in actions:
            raise EdgeSerError(
                f"{option} is for {' and '.join(actions)}, and {args.action} does without: leave it out"
            )
    host = SystemdHost("/" if args.root is None else args.root)
    if args.action in _MADE:
        unit = _unit(args, host.live)
        if args.action == "show":
            print(unit.text(), end="")
            return 0
        print(f"edge-ser: {host.install(unit)} is installed", file=sys.stderr)
        return 0
    if args.action == "remove":
        if not host.remove(args.name):
            raise EdgeSerError(f"there is no service {args.name} to remove")
        print(f"edge-ser: the service {args.name} is removed", file=sys.stderr)
        return 0
    if args.action == "logs":
        return host.logs(args.name, lines=_LINES if args.lines is None else args.lines, follow=args.follow)
    status = host.status(args.name)
    if args.output == "json":
        print(json.dumps(status, indent=2))
    else:
        for name, value in status.items():
            print(f"{name:22}{value}")
    return 0 if status.get("ActiveState") == "active" else 1


def _unit(args: argparse.Namespace, live: bool) -> Unit:
    command = _own_command() if args.program is None else [args.program]
    # Whether an image has it, and its links lead to anything there, is not for this machine to say.
    if args.action == "install" and live and shutil.which(command[0]) is None:
        raise EdgeSerError(f"{command[0]} is no program that can be run here; name another --program")
    memory = _MEMORY_MB if args.memory_mb is None else args.memory_mb
    if args.budget is not None:
        if args.memory_mb is not None:
            raise EdgeSerError("--memory-mb and --budget both say the memory limit: leave one out")
        budget = read_budget(args.budget)
        if "rss_mb" not in budget:
            raise EdgeSerError(f"the budget {args.budget} has no rss_mb to take as the memory limit")
        memory = budget["rss_mb"]
    from edge_ser.commands.listen import words_of_listen  # here, as it brings all that listens

    words = words_of_listen(LISTEN if args.listen is None else args.listen)
    return Unit([*command, "listen", *words], memory_mb=memory, name=args.name)


def _own_command() -> list[str]:
    """How this edge-ser is run."""
    # The program may lie outside of homes, and its Python, or a checkout that it is installed from, within.
    for needed in (sys.executable, *edge_ser.__path__):
        refuse_homes(needed, INSTALL_FOR_ALL)
    program = os.path.abspath(shutil.which(sys.argv[0]) or sys.argv[0])
    if os.access(program, os.X_OK) and not program.endswith(".py"):
        return [program]
    return [sys.executable, "-m", "edge_ser"]
