"""Builds the compiled front end into the package, where there is a C compiler.

Without one, or where it fails, the package is installed without the library and runs on NumPy;
``EDGE_SER_BUILD=c`` makes that an error (for wheels to publish), ``EDGE_SER_BUILD=numpy`` leaves it out.
``CC`` names another compiler, for another machine together with Python's ``_PYTHON_HOST_PLATFORM``
(``CC=aarch64-linux-gnu-gcc _PYTHON_HOST_PLATFORM=linux-aarch64 pip wheel .``).
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("edge_ser/dsp/front_end.c")
LIBRARY = Path("edge_ser/dsp/_front_end.so")
# No -march: a wheel runs on every machine of its kind. No contraction to fused operations and no -ffast-math:
# results are the same bits for any split and on every machine.
FLAGS = (
    "-std=c11 -O3 -fPIC -shared -fvisibility=hidden -ffp-contract=off -fno-math-errno -fno-trapping-math -s"
)


def compiler() -> list[str] | None:
    """The C compiler's command, or None."""
    named = os.environ.get("CC")
    if named:
        return shlex.split(named)
    return next(([found] for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)


def build(source: Path, library: Path) -> str:
    """Compile; returns why it could not be done, or nothing."""
    command = compiler()
    if command is None:
        return "there is no C compiler"
    # Beside its place, then renamed: a process that has the old one loaded keeps it.
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        out = Path(folder) / library.name
        crc = f"-DSOURCE_CRC={zlib.crc32(source.read_bytes())}u"
        call = [*command, *FLAGS.split(), crc, str(source), "-o", str(out)]
        try:
            result = subprocess.run(call, capture_output=True, text=True, check=False)
        except OSError as error:
            return f"{shlex.join(command)}: {error}"
        if result.returncode:
            return f"{shlex.join(call)} failed:\n{result.stderr}"
        os.replace(out, library)
    return ""


class FrontEnd(BuildHookInterface):  # type: ignore[type-arg]
    """The hook that hatchling calls for wheels, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tag the wheel for this platform if it carries the library."""
        wanted = os.environ.get("EDGE_SER_BUILD", "")
        if wanted not in ("", "c", "numpy"):
            raise ValueError(f"EDGE_SER_BUILD is {wanted!r}; it may be 'c', 'numpy' or unset")
        root = Path(self.root)
        # An editable installation finds it in the tree; a wheel's, maybe for another machine, stays out of it.
        self.folder = tempfile.TemporaryDirectory(prefix="edge-ser-")
        library = root / LIBRARY if version == "editable" else Path(self.folder.name) / LIBRARY.name
        problem = "EDGE_SER_BUILD is numpy" if wanted == "numpy" else build(root / SOURCE, library)
        if problem:
            if wanted == "c":
                raise RuntimeError(f"the compiled front end was not built: {problem}")
            library.unlink(missing_ok=True)  # what an earlier build left may be of another source
            self.app.display_warning(
                f"edge-ser without its compiled front end (NumPy does its work): {problem}"
            )
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        if version != "editable":
            build_data["force_include"][str(library)] = str(LIBRARY)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the wheel has taken in."""
        self.folder.cleanup()
