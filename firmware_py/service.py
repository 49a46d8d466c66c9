"""Listening as a systemd service: the unit, and what installs, shows and removes it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_ser.errors import EdgeSerError
from edge_ser.files import valid_text, write_atomic

__all__ = ["INSTALL_FOR_ALL", "SystemdHost", "Unit", "refuse_homes"]

# Neither an option of systemctl nor a way to another folder, nor longer than a file's name may be.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
# What systemctl takes for the whole name of a unit, of this kind or another (systemd.unit(5)).
_KINDS = (
    ".service", ".socket", ".device", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".slice", ".scope",
)  # fmt: skip
# More than any board has; what a unit would say of still more (1e+06M, infM), systemd takes for no limit.
_MOST_MB = 1e5
#: How edge-ser comes to lie where a service sees it.
INSTALL_FOR_ALL = (
    "install edge-ser for all users (docs/device.md: sudo sh scripts/install.sh, then sudo edge-ser service install), "
    "or name another --program"
)
_HOMES = ("/home", "/root", "/run/user")  # what ProtectHome=yes hides (systemd.exec(5))


def refuse_homes(path: str | os.PathLike[str], advice: str, *, here: bool = True) -> None:
    """Refuse a place that a service cannot see, because it lies in a home or links lead from it into one.

    Parameters
    ----------
    path : path
        Of what the service needs.
    advice : str
        What to do, the end of the sentence.
    here : bool
        It is a place on this machine, whose links count.

    Raises
    ------
    EdgeSerError
        It is such a place.
    """
    places = [os.path.abspath(path), *([os.path.realpath(path)] if here else [])]
    for place in places:
        if any(Path(place).is_relative_to(home) for home in _HOMES):
            raise EdgeSerError(f"a service sees no homes, and {place} lies in one; {advice}")


def _check_name(name: str) -> None:
    """Refuse what is no name for a service: `EdgeSerError`."""
    if not _NAME.fullmatch(name):
        raise EdgeSerError(
            f"{name!r} is no name for a service; use up to 100 letters, digits, . _ and -, neither . nor - at first"
        )
    if name.endswith(_KINDS):
        raise EdgeSerError(
            f"{name!r} is no name for a service; leave out {name[name.rindex('.') :]} at its end"
        )


@dataclass(frozen=True)
class Unit:
    """A service that listens.

    Attributes
    ----------
    command : sequence of str
        What runs, its first word an absolute path outside of homes.
    memory_mb : float
        The kernel ends what grows over it; the service then starts anew.
    name : str
        Of the service.
    """

    command: Sequence[str]
    memory_mb: float = 96
    name: str = "edge-ser"

    def __post_init__(self) -> None:
        if not self.command or not os.path.isabs(self.command[0]):
            raise EdgeSerError("a service's command begins with the absolute path of a program")
        refuse_homes(self.command[0], INSTALL_FOR_ALL)
        _check_name(self.name)
        if not self.memory_mb >= 16:
            raise EdgeSerError(
                f"a limit of {self.memory_mb:g} MB is less than Python itself takes; give 64 or more"
            )
        if self.memory_mb >= _MOST_MB:
            raise EdgeSerError(
                f"a limit of {self.memory_mb:g} MB limits nothing; give less than {_MOST_MB:.0f}"
            )

    @property
    def state(self) -> str:
        """The folder of what it writes, below /var/lib."""
        return self.name

    def text(self) -> str:
        """The unit file (systemd.service(5), systemd.exec(5)).

        It runs as a user of its own that exists only meanwhile, in the group ``audio``; it sees sound devices and no
        others, no network, no homes, and writes to one folder. It has started once it hears; until then its end, or a
        minute without any audio, is a start that failed. A watchdog ends it when its loop stands still.
        """
        command = " ".join(_quoted(word) for word in self.command)
        return f"""\
[Unit]
Description=edge-ser: speech emotion from the microphone
Documentation=https://pypi.org/project/edge-ser/
After=sound.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
Restart=always
RestartSec=2
WatchdogSec=30
TimeoutStartSec=60
TimeoutStopSec=30
MemoryMax={self.memory_mb:g}M
MemorySwapMax=0
TasksMax=32
OOMPolicy=stop
Nice=-5
Environment=OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

DynamicUser=yes
SupplementaryGroups=audio
StateDirectory={self.state}
WorkingDirectory=/var/lib/{self.state}
UMask=0077

DevicePolicy=closed
DeviceAllow=char-alsa rw
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateNetwork=yes
PrivateUsers=no
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=all
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
NoNewPrivileges=yes
RemoveIPC=yes
CapabilityBoundingSet=
AmbientCapabilities=
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @mount
SystemCallErrorNumber=EPERM
IPAddressDeny=any

[Install]
WantedBy=multi-user.target
"""


def _quoted(word: str) -> str:
    """A word as systemd reads it: % and $ doubled, quoted where there are blanks or quotes."""
    if "\n" in word:
        raise EdgeSerError("a service's command may hold no line break")
    if valid_text(word) != word:
        raise EdgeSerError(
            f"a service's command is text in UTF-8, and {word!r} is none; rename what it names"
        )
    word = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    if re.search(r"[\s\"';]", word) or not word:
        return '"' + word.replace('"', '\\"') + '"'
    return word


class SystemdHost:
    """The systemd of this machine.

    Parameters
    ----------
    root : path
        Where unit files lie, seen from here; with another one than ``/``, an image is prepared and nothing is started.
    systemctl, journalctl : str
        The programs.

    Raises
    ------
    EdgeSerError
        The image is no folder.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "/",
        *,
        systemctl: str = "systemctl",
        journalctl: str = "journalctl",
    ) -> None:
        self._root, self._systemctl, self._journalctl = Path(root), systemctl, journalctl
        if not os.path.isdir(root):  # also an empty name, which is the current folder to a path
            raise EdgeSerError(f"there is no system image {os.fspath(root)!r}; name its folder")
        self._live = os.path.samefile(root, "/")

    @property
    def live(self) -> bool:
        """Whether it is the system that runs here, and no image."""
        return self._live

    def path(self, name: str) -> Path:
        """Where a service's unit lies."""
        _check_name(name)
        return self._root / "etc/systemd/system" / f"{name}.service"

    def install(self, unit: Unit) -> Path:
        """Write the unit, enable and (re)start it; the unit's path.

        Raises
        ------
        EdgeSerError
            It cannot be written, there is no systemd here, or the service does not start, which is to hear; a unit
            that was there before is put back then, and started again, as it is at a Ctrl-C.
        """
        path = self.path(unit.name)
        text = unit.text().encode()
        before = path.read_bytes() if path.exists() else None
        self._need_root(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
        if not self._live:
            wants = path.parent / "multi-user.target.wants" / path.name
            wants.parent.mkdir(exist_ok=True)
            if not wants.is_symlink():
                wants.symlink_to(Path("..") / path.name)
            return path
        try:
            self._run("daemon-reload")
            self._run("enable", unit.name)
            self._run("restart", unit.name)  # with Type=notify this returns once it hears
        except (EdgeSerError, KeyboardInterrupt) as error:  # a start may take long, and be given up
            self._put_back(path, unit.name, before, error)
            raise
        return path

    def _put_back(self, path: Path, name: str, before: bytes | None, why: BaseException) -> None:
        """What was there before an installation that did not end."""
        if before is None:
            # Where systemd took nothing of it, it has nothing to end either; the unit goes all the same.
            with contextlib.suppress(EdgeSerError):
                self._run("disable", "--now", name)
            path.unlink(missing_ok=True)
            with contextlib.suppress(EdgeSerError):
                self._run("daemon-reload")
            return
        write_atomic(path, before)
        try:
            self._run("daemon-reload")
            self._run("restart", name)
        except EdgeSerError as error:
            said = why if isinstance(why, EdgeSerError) else error
            raise EdgeSerError(
                f"{said}; the service that was there before is back, and does not start now either: "
                f"is the microphone there (`edge-ser devices`)? See `edge-ser service logs --name {name}`"
            ) from why

    def remove(self, name: str) -> bool:
        """Stop the service and remove its unit; whether there was one. What it has written stays."""
        path = self.path(name)
        if not path.exists():
            return False
        self._need_root(path)
        if self._live:
            self._run("disable", "--now", name)
        else:
            (path.parent / "multi-user.target.wants" / path.name).unlink(missing_ok=True)
        path.unlink()
        if self._live:
            self._run("daemon-reload")
        return True

    def status(self, name: str) -> dict[str, str]:
        """Some of what systemd says of the service (systemctl-show(1)); that it is not there, too."""
        keys = (
            "LoadState,ActiveState,SubState,Result,NRestarts,MemoryCurrent,CPUUsageNSec,ActiveEnterTimestamp"
        )
        _check_name(name)
        text = self._run("show", name, f"--property={keys}")
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def logs(self, name: str, *, lines: int = 100, follow: bool = False) -> int:
        """Show its journal; the exit status of journalctl."""
        _check_name(name)
        if shutil.which(self._journalctl) is None:
            raise EdgeSerError(
                "journalctl is not here; see what the service wrote where your system keeps its logs"
            )
        command = [self._journalctl, "-u", name, "-n", str(lines), "-o", "cat", *(["-f"] if follow else [])]
        return subprocess.run(command, check=False).returncode

    def _need_root(self, path: Path) -> None:
        folder = path.parent
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK):
            raise EdgeSerError(f"{path} can be written by root only; run it with sudo")

    def _run(self, *words: str) -> str:
        if shutil.which(self._systemctl) is None:
            raise EdgeSerError(
                "there is no systemd here; `edge-ser service show` prints the unit, `--root DIR` writes it to an image"
            )
        run = subprocess.run(
            [self._systemctl, "--no-pager", *words],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if run.returncode:
            said = (run.stderr or run.stdout).strip().splitlines()
            raise EdgeSerError(
                f"systemctl {shlex.join(words)}: {said[-1] if said else f'status {run.returncode}'}"
            )
        return run.stdout
