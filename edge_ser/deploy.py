"""Onto boards over ssh: a release is built beside the one that runs, tried, and takes its place in one rename."""

from __future__ import annotations

import email
import hashlib
import json
import os
import re
import secrets
import shlex
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from edge_ser.errors import EdgeSerError
from edge_ser.files import expand_user

__all__ = ["Plan", "Target", "check_extras", "check_prefix", "deploy", "deploy_all", "read_hosts"]

_STEP_S = 1200  # a board that builds an environment from a slow card
_NEED_KB = 200_000
STEPS = ("check", "upload", "build", "try", "switch", "bench", "tidy")


@dataclass(frozen=True)
class Target:
    """Where to.

    Attributes
    ----------
    host : str
        ``USER@HOST`` or a name that ssh knows.
    port : int or None
        Where it is not ssh's own.
    identity : str or None
        A key file.
    options : tuple of str
        Further ``-o`` options of ssh.
    """

    host: str
    port: int | None = None
    identity: str | None = None
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.host or self.host.startswith("-") or any(c.isspace() for c in self.host):
            raise EdgeSerError(f"{self.host!r} is no host; give USER@HOST")
        if set(self.host) & set(":/"):  # to rsync a folder, and to --reports one as well
            raise EdgeSerError(
                f"{self.host!r} is no host; give USER@HOST, a port by --port, a folder by --prefix, and an address of "
                "IPv6 a name in ~/.ssh/config"
            )
        if self.port is not None and not 1 <= self.port <= 65535:
            raise EdgeSerError(f"--port {self.port} is none of ssh's; give 1 to 65535")
        # ssh goes on without it, and says at the end that it may not log in; % is its own, see ssh_config(5).
        key = self.identity
        if key is not None and "%" not in key and not expand_user(key).is_file():
            raise EdgeSerError(f"there is no key {key!r}; give --identity the file of a private key")

    def ssh(self, control: str) -> list[str]:
        """The command, without the host; `control` is where the shared connection's socket lies."""
        command = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15"]
        command += ["-o", "ControlMaster=auto", "-o", f"ControlPath={control}", "-o", "ControlPersist=20"]
        for option in self.options:
            command += ["-o", option]
        command += ["-p", str(self.port)] if self.port is not None else []
        return command + (["-i", self.identity] if self.identity is not None else [])


@dataclass(frozen=True)
class Plan:
    """What to put there.

    Attributes
    ----------
    wheels : sequence of Path
        Wheels that are copied; pip takes the one that fits the board.
    requirement : str
        What pip installs, such as ``edge-ser[litert]``.
    index : bool
        pip may fetch what the wheels lack.
    model : Path or None
        A bundle's folder that goes with it.
    service, listen : str
        The service's name, empty for none, and the arguments of `edge-ser listen`.
    prefix, python : str
        Where it lies on the board, and with which interpreter.
    """

    wheels: Sequence[Path]
    requirement: str = "edge-ser"
    index: bool = True
    model: Path | None = None
    service: str = "edge-ser"
    listen: str = ""
    prefix: str = "/opt/edge-ser"
    python: str = "python3"
    need_kb: int = _NEED_KB
    release: str = field(init=False)

    def __post_init__(self) -> None:
        if not self.wheels:
            raise EdgeSerError("there is no wheel to install; give --wheel FILE")
        check_prefix(self.prefix)
        for wheel in self.wheels:
            if wheel.suffix != ".whl":
                raise EdgeSerError(f"{wheel} is no wheel; give --wheel a file that ends in .whl")
        digest = hashlib.sha256(f"{self.requirement} {self.python}".encode())
        paths = sorted(self.wheels) + sorted(
            p for p in (self.model.rglob("*") if self.model else ()) if p.is_file()
        )
        for path in paths:
            try:
                digest.update(path.name.encode() + path.read_bytes())
            except OSError as error:
                raise EdgeSerError(f"cannot read {path}: {error.strerror}") from error
        object.__setattr__(self, "release", digest.hexdigest()[:16])

    @property
    def remote_model(self) -> str:
        """The model on the board, empty for the one that is shipped."""
        return f"{self.prefix}/releases/{self.release}/model" if self.model is not None else ""


def check_prefix(prefix: str) -> None:
    """Refuse what is no place on a board: `EdgeSerError`."""
    if not prefix.startswith("/"):
        raise EdgeSerError(f"--prefix {prefix!r} is no absolute path; give one, such as /opt/edge-ser")


def check_extras(wheels: Sequence[Path], extras: str) -> None:
    """Refuse extras that the wheel of edge-ser does not have, which pip takes for none.

    Parameters
    ----------
    wheels : sequence of Path
        Where none is edge-ser's, nothing is known and nothing is refused.
    extras : str
        Names between commas, in any spelling that pip takes.

    Raises
    ------
    EdgeSerError
        The wheel lacks one, or is no wheel.
    """
    for wheel in wheels:
        if not wheel.name.startswith("edge_ser-"):
            continue
        try:
            with zipfile.ZipFile(wheel) as file:
                (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
                text = file.read(name).decode()
        except OSError as error:
            raise EdgeSerError(f"cannot read {wheel}: {error.strerror}") from error
        except (zipfile.BadZipFile, ValueError) as error:
            raise EdgeSerError(f"{wheel} is no wheel that can be read; get a fresh copy of it") from error
        known = email.message_from_string(text).get_all("Provides-Extra", [])
        plain = {re.sub("[-_.]+", "-", name).lower() for name in known}
        for extra in extras.split(","):
            if re.sub("[-_.]+", "-", extra.strip()).lower() not in plain:
                raise EdgeSerError(
                    f"--extras names {extra.strip()!r}, and {wheel.name} has {', '.join(known) or 'none'}"
                )


def deploy(target: Target, plan: Plan, progress: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
    """Deploy to one board.

    Parameters
    ----------
    target : Target
        Where to.
    plan : Plan
        What.
    progress : callable
        Called with the name of each step before it begins.

    Returns
    -------
    dict
        ``host``, ``release``, ``before`` (the release that ran until now, empty for none), ``board`` (what `check`
        said), ``bench`` (the report of `edge-ser bench` there).

    Raises
    ------
    EdgeSerError
        A step failed, or another deploy to the board has begun meanwhile; what ran before still does.
    """
    # A socket's path may be a hundred bytes long, and temporary folders can be deep.
    with tempfile.TemporaryDirectory(prefix="eser", dir="/tmp" if os.path.isdir("/tmp") else None) as folder:
        control = f"{folder}/c"
        try:
            return _deploy(target, plan, progress, control)
        finally:
            subprocess.run(
                [*target.ssh(control), "-O", "exit", target.host], capture_output=True, check=False
            )


def _deploy(target: Target, plan: Plan, progress: Callable[[str], None], control: str) -> dict[str, Any]:
    this = secrets.token_hex(8)

    def step(name: str, *arguments: str) -> str:
        progress(name)
        words = ["sh", "-s", "--", name, plan.prefix, plan.release, this, *arguments]
        script = (files("edge_ser") / "deploy.sh").read_bytes()
        command = [*target.ssh(control), target.host, shlex.join(words)]
        return _call(target.host, name, command, script)

    board = _fields(step("check", plan.python, plan.service, str(plan.need_kb)))
    progress("upload")
    _upload(target, plan, control)
    step("build", plan.python, plan.requirement, "yes" if plan.index else "no")
    step("try", plan.remote_model)
    listen = plan.listen
    if plan.model is not None:
        listen += f" --model {shlex.quote(f'{plan.prefix}/current/model')}"
    before = _fields(step("switch", plan.service, listen)).get("before", "")
    report = step("bench", plan.remote_model)
    try:
        bench = json.loads(report)
    except ValueError as error:
        raise EdgeSerError(f"{target.host}: bench gave no report ({report[:80]!r})") from error
    step("tidy", before)
    return {"host": target.host, "release": plan.release, "before": before, "board": board, "bench": bench}


def _upload(target: Target, plan: Plan, control: str) -> None:
    remote = f"{target.host}:{plan.prefix}/incoming/{plan.release}/"
    # Blanks are no ends of names there with -s, which old ones, macOS's among them, do not have.
    protected = [] if shlex.quote(plan.prefix) == plan.prefix else ["-s"]
    rsync = ["rsync", "-a", *protected, "-e", shlex.join(target.ssh(control))]
    # Absolute, as a relative source with a colon would be another machine's.
    sources = [os.path.abspath(path) for path in plan.wheels]
    _call(target.host, "upload", [*rsync, "--partial", *sources, remote], b"")
    if plan.model is not None:
        model = f"{os.path.abspath(plan.model)}/"
        _call(target.host, "upload", [*rsync, "--delete", model, remote + "model/"], b"")


def _call(host: str, step: str, command: list[str], script: bytes) -> str:
    try:
        run = subprocess.run(command, input=script, capture_output=True, check=False, timeout=_STEP_S)
    except FileNotFoundError as error:
        raise EdgeSerError(f"{command[0]} is not installed here; apt install openssh-client rsync") from error
    except subprocess.TimeoutExpired as error:
        raise EdgeSerError(f"{host}: {step} took longer than {_STEP_S} s") from error
    if run.returncode:
        lines = run.stderr.decode(errors="replace").strip().splitlines()
        said = [
            line.removeprefix("edge-ser-deploy: ") for line in lines if line.startswith("edge-ser-deploy: ")
        ]
        reason = said[-1] if said else lines[-1] if lines else f"status {run.returncode}"
        if run.returncode == 255 and not said:
            raise EdgeSerError(f"{host}: ssh cannot log in or lost the connection at {step} ({reason})")
        raise EdgeSerError(f"{host}: {step}: {reason}")
    return run.stdout.decode(errors="replace")


def _fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def deploy_all(
    targets: Sequence[Target],
    plan: Plan,
    *,
    jobs: int = 8,
    progress: Callable[[str, str], None] = lambda host, step: None,
) -> list[dict[str, Any]]:
    """Deploy to many boards, several at once; one that fails stops no other.

    Returns
    -------
    list of dict
        For each target in order: ``host``, ``ok``, ``reason`` (None where it went well), and what `deploy` gives.
    """

    def one(target: Target) -> dict[str, Any]:
        try:
            result = deploy(target, plan, lambda step: progress(target.host, step))
        except EdgeSerError as error:
            return {"host": target.host, "ok": False, "reason": str(error)}
        return result | {"ok": True, "reason": None}

    with ThreadPoolExecutor(max_workers=max(1, min(jobs, len(targets)))) as pool:
        return list(pool.map(one, targets))


def read_hosts(path: str | os.PathLike[str]) -> list[str]:
    """Hosts from a file, one a line; what follows # is a remark.

    Raises
    ------
    EdgeSerError
        It cannot be read, or names none.
    """
    try:
        # Editors of Windows begin with a mark.
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise EdgeSerError(f"cannot read the list of hosts {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EdgeSerError(
            f"the list of hosts {path} is no text in UTF-8; write one USER@HOST a line"
        ) from error
    hosts = [word for line in lines if (word := line.partition("#")[0].strip())]
    if not hosts:
        raise EdgeSerError(f"the list {path} names no host; write one USER@HOST a line")
    return hosts
