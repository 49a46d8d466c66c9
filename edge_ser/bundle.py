"""Bundles: a model as people get it, the only thing that goes from host to device.

A bundle is a flat folder: ``bundle.json`` describes the model and lists the other files with size and
SHA-256; nothing of it is used before all of that has been checked.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_ser.errors import EdgeSerError
from edge_ser.files import fsync_folder, parse_json_object, permissions_from_umask, sha256, write_synced
from edge_ser.manifest import (
    CARD,
    FORMAT,
    FORMS,
    PRECISIONS,
    VERSION,
    AdvScale,
    BundleFile,
    Calibration,
    Manifest,
    SpeechDetector,
    TensorSpec,
    VectorInput,
    Window,
    least_version,
    next_name,
)

__all__ = [
    "FORMAT",
    "FORMS",
    "PRECISIONS",
    "VERSION",
    "DEFAULT_MODEL",
    "SHIPPED",
    "AdvScale",
    "Bundle",
    "BundleFile",
    "Calibration",
    "Manifest",
    "SpeechDetector",
    "TensorSpec",
    "VectorInput",
    "Window",
    "bundle_names",
    "check_target",
    "list_bundles",
    "load_bundle",
    "next_name",
    "write_bundle",
]

#: Where the bundles that come with the package lie, one folder each.
SHIPPED = Path(__file__).parent / "bundles"
#: What a command uses when no model is named.
DEFAULT_MODEL = "stream72k"

_JSON = "bundle.json"
_MAX_JSON = 4 << 20
_EXCHANGE = 2  # Linux renameat2's RENAME_EXCHANGE
_AT_FDCWD = -100


@dataclasses.dataclass(frozen=True)
class Bundle(Manifest):
    """A checked bundle: the fields of bundle.json (see `Manifest`) and the folder they came from."""

    path: Path = dataclasses.field(kw_only=True)

    def variants(self, form: str | None = None) -> list[tuple[str, str]]:
        """(engine, precision) of every model file, or of those of a form, in the order of bundle.json."""
        pairs = [
            (file.engine, file.precision)
            for file in self.files
            if file.engine is not None and file.precision is not None and form in (None, file.form)
        ]
        return list(dict.fromkeys(pairs))

    def model_file(self, engine: str, precision: str = "fp32", form: str | None = None) -> BundleFile:
        """The entry of a model file; where two forms are there, the first of `FORMS`.

        Raises
        ------
        EdgeSerError
            The bundle has none for this engine and precision; the sentence lists those it has.
        """
        for wanted in FORMS if form is None else (form,):
            for file in self.files:
                if (file.engine, file.precision, file.form) == (engine, precision, wanted):
                    return file
        there = (
            ", ".join(f"{name} {width}" for name, width in self.variants(form))
            or f"nothing in the form {form!r}"
        )
        raise EdgeSerError(
            f"the bundle {self.name} has no model file for {engine} {precision}; it has: {there}"
        )

    def file(self, engine: str, precision: str = "fp32", form: str | None = None) -> Path:
        """Path of a model file; see `model_file`."""
        return self.path / self.model_file(engine, precision, form).path

    def typical_for(self, option: str) -> tuple[tuple[float, ...], ...]:
        """Its typical answers, a row for each emotion, for what an option asks of it.

        Raises
        ------
        EdgeSerError
            It does not say them.
        """
        if self.calibration.typical is None:
            raise EdgeSerError(
                f"{self.name} does not say its typical answers, so it cannot get used to a speaker; leave {option} "
                "out, or write them with edge-ser calibrate --predictions"
            )
        return self.calibration.typical

    @property
    def card(self) -> Path | None:
        """The model card, where the bundle has one."""
        return next((self.path / file.path for file in self.files if file.path == CARD), None)


def bundle_names() -> list[str]:
    """Names of the bundles that come with the package, sorted, whole or damaged."""
    if not SHIPPED.is_dir():
        return []
    return sorted(
        folder.name for folder in SHIPPED.iterdir() if folder.is_dir() and folder.name[0] not in "._"
    )


def list_bundles() -> list[Bundle]:
    """Load every bundle that comes with the package.

    Raises
    ------
    EdgeSerError
        One of them is damaged.
    """
    return [load_bundle(SHIPPED / name) for name in bundle_names()]


def load_bundle(name_or_folder: str | os.PathLike[str]) -> Bundle:
    """Load and check a bundle.

    Parameters
    ----------
    name_or_folder : str or path
        A name from `bundle_names`, which goes before a folder of the same name here
        (``./NAME`` is the folder), or a bundle's folder.

    Returns
    -------
    Bundle

    Raises
    ------
    EdgeSerError
        No such model, or the bundle is damaged, foreign or of a newer version.
    """
    folder = _locate(name_or_folder)
    manifest = _read_manifest(folder)
    for file in manifest.files:
        _check_file(folder, file)
    values = {field.name: getattr(manifest, field.name) for field in dataclasses.fields(manifest)}
    return Bundle(**values, path=folder)


def write_bundle(
    folder: str | os.PathLike[str],
    manifest: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle whole or not at all.

    It is built in a folder beside the target, checked as `load_bundle` does, and renamed into place.

    Parameters
    ----------
    folder : path
        The target; its parent must exist.
    manifest : mapping
        What goes into bundle.json. ``format`` and ``version`` are filled in; each entry of ``files`` gives
        ``path``, ``engine`` and ``precision`` (both None for a card), and gets its size and SHA-256 here.
    files : mapping of str to bytes
        The content of each file that ``manifest["files"]`` names, and of no other.
    overwrite : bool
        Replace a bundle that is there already, in one step. A folder that is no bundle, or holds files
        that its bundle.json does not list, is never replaced.

    Returns
    -------
    Bundle
        As loaded from its place.

    Raises
    ------
    EdgeSerError
        The target exists (and may not be replaced), the manifest is wrong, or the disk refuses.
    """
    target = check_target(folder, overwrite=overwrite)
    document = _seal(manifest, files)
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            aside.chmod(permissions_from_umask(0o777))
            for name, data in files.items():
                write_synced(aside / name, data)
            write_synced(aside / _JSON, document)
            fsync_folder(aside)
            load_bundle(aside)
            _put_in_place(aside, target)
        finally:
            # Never the live bundle: after an exchange `aside` holds the old one, after a rename nothing.
            shutil.rmtree(aside, ignore_errors=True)
        fsync_folder(target.parent)
    except OSError as error:
        raise EdgeSerError(
            f"cannot write the bundle {target}: {error.strerror or error}; choose a place that can be written"
        ) from error
    return load_bundle(target)


def _locate(name_or_folder: str | os.PathLike[str]) -> Path:
    text = os.fspath(name_or_folder)
    names = bundle_names()
    if text in names:
        return SHIPPED / text
    folder = Path(text)
    if "\0" not in text and folder.is_dir():
        return folder
    known = f"the models here are {', '.join(names)}" if names else "no model comes with this installation"
    raise EdgeSerError(f"there is no model or bundle folder {text!r}; {known}")


def _read_manifest(folder: Path) -> Manifest:
    source = folder / _JSON
    if not source.is_file():
        raise EdgeSerError(f"{folder} is not a bundle (it has no {_JSON}); name a bundle's folder")
    try:
        with source.open("rb") as file:
            data = file.read(_MAX_JSON + 1)
    except OSError as error:
        raise EdgeSerError(f"cannot read {source}: {error.strerror}; check its permissions") from error
    if len(data) > _MAX_JSON:
        raise EdgeSerError(f"{source} is damaged (over {_MAX_JSON} bytes); get a fresh copy of the bundle")
    return Manifest.from_dict(parse_json_object(data, str(source)), str(source))


def _check_file(folder: Path, file: BundleFile) -> None:
    """The file is there, inside the folder, and has the size and the SHA-256 that bundle.json gives."""
    path = folder / file.path
    fresh = "get a fresh copy of the bundle"
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        raise EdgeSerError(f"the bundle {folder} lacks its file {file.path}; {fresh}")
    try:
        size = path.stat().st_size
        if size != file.bytes:  # before hashing: a file of gigabytes is refused at once
            raise EdgeSerError(f"{path} is damaged ({size} bytes, not {file.bytes}); {fresh}")
        digest = sha256()
        with path.open("rb") as stream:
            while block := stream.read(1 << 18):
                digest.update(block)
    except OSError as error:
        raise EdgeSerError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    if digest.hexdigest() != file.sha256:
        raise EdgeSerError(f"{path} is damaged (its SHA-256 is not the one in {_JSON}); {fresh}")


def check_target(folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Refuse early what `write_bundle` would refuse as a target; returns the target with links resolved.

    Raises
    ------
    EdgeSerError
        Its parent is missing, it exists and may not be replaced, or holds what is no part of a bundle.
    """
    # Resolved, so that a folder aside lies on the disk of what a link points to.
    target = Path(folder).resolve()
    if not target.parent.is_dir():
        raise EdgeSerError(f"there is no folder {target.parent} to write the bundle in; create it first")
    if not os.path.lexists(target):
        return target
    if not overwrite:
        raise EdgeSerError(f"{target} exists; choose another place or allow overwriting (--overwrite)")
    if not target.is_dir():
        raise EdgeSerError(f"{target} is a file, not a bundle; choose another place")
    there = {entry.name for entry in target.iterdir()}
    if not there:
        return target
    listed = {_JSON, *(file.path for file in _read_manifest(target).files)}
    if others := sorted(there - listed):
        raise EdgeSerError(f"{target} holds {others[0]}, which is no part of the bundle; move it away first")
    return target


def _seal(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    entries = []
    for entry in manifest.get("files", ()):
        if entry.get("path") not in files:
            raise EdgeSerError(
                f"the manifest lists {entry.get('path')!r} and no such file was given; give its bytes"
            )
        data = files[entry["path"]]
        entries.append({**entry, "sha256": sha256(data).hexdigest(), "bytes": len(data)})
    if unlisted := set(files) - {entry["path"] for entry in entries}:
        raise EdgeSerError(f"the manifest does not list {sorted(unlisted)[0]!r}; list it or leave it out")
    document = {**manifest, "format": FORMAT, "version": least_version(manifest), "files": entries}
    first = {key: document[key] for key in ("format", "version")}
    try:
        text = json.dumps({**first, **document}, indent=1, ensure_ascii=False, allow_nan=False)
        data = (text + "\n").encode("utf-8")
    except (TypeError, ValueError) as error:
        raise EdgeSerError(f"the manifest cannot be written as JSON: {error}") from error
    Manifest.from_dict(parse_json_object(data, "the new bundle.json"), "the new bundle.json")
    return data


def _put_in_place(aside: Path, target: Path) -> None:
    """Rename `aside` to `target`; where a bundle is there, swap the two so that one is always in place."""
    if not target.exists():
        aside.rename(target)
        return
    if _exchange(aside, target):
        return
    # No exchange on this system or disk: two renames, and back when the second fails.
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old / "bundle")
    try:
        aside.rename(target)
    except BaseException:
        (old / "bundle").rename(target)
        old.rmdir()
        raise
    shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE) == 0)
