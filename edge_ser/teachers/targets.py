"""What a teacher says of each recording, kept on disk under the recording's content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edge_ser.errors import EdgeSerError
from edge_ser.files import parse_json_object, write_json
from edge_ser.teachers.shards import PATTERN, read_shard, shard_keys, write_shard

__all__ = ["TargetStore", "Targets", "Teacher", "content_key"]

Array = npt.NDArray[np.floating]

_ABOUT = "store.json"
_VERSION = 1
_PARTS = ("adv", "logits", "hint")


class Targets(NamedTuple):
    """A teacher's answer to one recording; None is what it does not give.

    Attributes
    ----------
    adv : (3,) or None
        Arousal, dominance, valence; about 0..1.
    logits : (L,) or None
        One for each of the teacher's labels.
    hint : (K,) or None
        A vector of features for the student to follow.
    """

    adv: Array | None = None
    logits: Array | None = None
    hint: Array | None = None


class Teacher(Protocol):
    """What labelling asks of a teacher.

    Attributes
    ----------
    identity : str
        Hash of everything that its answers depend on: weights, description, code that matters.
    labels : tuple of str
        Names of the logits; empty where it gives none.
    hint_size : int
        Length of the hint; 0 where it gives none.
    """

    @property
    def identity(self) -> str: ...  # noqa: D102
    @property
    def labels(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def hint_size(self) -> int: ...  # noqa: D102

    def targets(self, wave: npt.NDArray[np.float32]) -> Targets:
        """Answer to a recording (n,) at 16 kHz; an EdgeSerError if it cannot hear it."""


def content_key(wave: npt.ArrayLike) -> str:
    """SHA-256, in hexadecimal, of the samples: the same for a recording under any name, in any container.

    Parameters
    ----------
    wave : (n,) array_like
        At 16 kHz; taken as little-endian float32.
    """
    return hashlib.sha256(np.ascontiguousarray(wave, dtype="<f4").tobytes()).hexdigest()


class TargetStore:
    """A folder of one teacher's targets.

    It holds ``store.json`` and shards: NPZ files of half-precision arrays, named after the SHA-256 of their own bytes,
    whose rows lie under the SHA-256 of the recording's content and the teacher's identity. A shard is written whole
    and never changed, so any number of processes, on one machine or on many, may write into the folder at once, and
    folders of one teacher are merged by copying their shards into one.

    Parameters
    ----------
    folder : path
        Made when it is not there.
    teacher_id : str
        The teacher's `identity`.
    labels : sequence of str
        Names of the logits.
    hint_size : int
        Length of the hint.
    shard_size : int
        Recordings of a shard: what `add` has gathered is written when it is so many, and on `flush`.

    Raises
    ------
    EdgeSerError
        The folder belongs to another teacher, a shard is damaged, or the disk refuses.

    Examples
    --------
    >>> store = TargetStore("targets", teacher.identity, teacher.labels, teacher.hint_size)    # doctest: +SKIP
    >>> key = content_key(wave)                                                                 # doctest: +SKIP
    >>> if key not in store:                                                                    # doctest: +SKIP
    ...     store.add(key, teacher.targets(wave))
    >>> store.flush()                                                                           # doctest: +SKIP
    >>> TargetStore.open("targets").get(key).adv                                                # doctest: +SKIP
    """

    def __init__(
        self,
        folder: str | Path,
        teacher_id: str,
        labels: Iterable[str] = (),
        hint_size: int = 0,
        *,
        shard_size: int = 256,
    ) -> None:
        self.folder = Path(folder)
        self.teacher_id = teacher_id
        self.labels = tuple(labels)
        self.hint_size = hint_size
        self.shard_size = shard_size
        self._sizes = dict(zip(_PARTS, (3, len(self.labels), hint_size), strict=True))
        self._pending: dict[bytes, dict[str, Array]] = {}
        self._where: dict[bytes, tuple[Path, int]] = {}
        self._open: dict[Path, Mapping[str, Array]] = {}
        self._seen: set[Path] = set()
        self._claim()
        self.reload()

    @classmethod
    def open(cls, folder: str | Path) -> TargetStore:
        """A store that is there, for reading, without its teacher.

        Raises
        ------
        EdgeSerError
            There is none, or it is damaged.
        """
        path = Path(folder) / _ABOUT
        if not path.is_file():
            raise EdgeSerError(
                f"{folder} holds no teacher's targets (no {_ABOUT}); make them with edge-ser label"
            )
        about = _description(path)
        return cls(folder, about["teacher"], about["labels"], about["hint_size"])

    def __len__(self) -> int:
        return len(self._where) + len(self._pending)

    def __contains__(self, key: object) -> bool:
        row = self._row(key)
        return row in self._where or row in self._pending

    def __repr__(self) -> str:
        return f"TargetStore({str(self.folder)!r}, {len(self)} recordings)"

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of the recordings' keys (`content_key`) that have no targets yet, each once, in their order."""
        return [key for key in dict.fromkeys(keys) if key not in self]

    def add(self, key: str, targets: Targets) -> None:
        """Keep a recording's targets, rounded to half precision; what is there already stays as it is.

        Parameters
        ----------
        key : str
            The recording's `content_key`.
        targets : Targets

        Raises
        ------
        EdgeSerError
            The targets are not finite or not of this store's sizes, or the disk refuses.
        """
        if key in self:
            return
        row: dict[str, Array] = {}
        for part, size in self._sizes.items():
            value = getattr(targets, part)
            if value is None:
                row[part] = np.full(size, np.nan, np.float16)  # "not given": no value that is given is NaN
                continue
            given = np.asarray(value, np.float32)
            if given.shape != (size,):
                raise EdgeSerError(
                    f"the teacher's {part} is of shape {given.shape}, its store expects ({size},)"
                )
            if not np.abs(given).max(initial=0.0) <= np.finfo(np.float16).max:  # so written because of NaN
                raise EdgeSerError(
                    f"the teacher's {part} holds a value that is no number or beyond 65504; mend it"
                )
            row[part] = given.astype(np.float16)
        self._pending[self._row(key)] = row
        if len(self._pending) >= self.shard_size:
            self.flush()

    def flush(self) -> None:
        """Write what was added since the last shard.

        Raises
        ------
        EdgeSerError
            The disk refuses; nothing that was added is forgotten.
        """
        if not self._pending:
            return
        keys = list(self._pending)
        arrays = {part: np.stack([self._pending[key][part] for key in keys]) for part in _PARTS}
        path = write_shard(self.folder, keys, arrays)
        self._seen.add(path)
        self._where |= {key: (path, row) for row, key in enumerate(keys)}
        self._pending.clear()

    def get(self, key: str) -> Targets:
        """Targets of a recording, float32 (after half precision).

        Parameters
        ----------
        key : str
            The recording's `content_key`.

        Raises
        ------
        EdgeSerError
            There are none.
        """
        at = self._row(key)
        if at in self._pending:
            row = self._pending[at]
        elif at in self._where:
            path, i = self._where[at]
            if path not in self._open:
                self._open[path] = read_shard(path, self._sizes)
            row = {part: self._open[path][part][i] for part in _PARTS}
        else:
            raise EdgeSerError(
                f"{self.folder} has no targets of this recording ({key[:12]}...); run edge-ser label"
            )
        return Targets(*(_given(row[part]) for part in _PARTS))

    def reload(self) -> int:
        """Take in shards that others have written since; the number of recordings they brought.

        Raises
        ------
        EdgeSerError
            A shard is damaged or of another store.
        """
        before = len(self)
        for path in sorted(self.folder.glob(PATTERN)):
            if path not in self._seen:
                self._where |= {key: (path, row) for row, key in enumerate(shard_keys(path))}
                self._seen.add(path)
        for at in self._where.keys() & self._pending.keys():  # another process was quicker
            del self._pending[at]
        return len(self) - before

    def _row(self, key: object) -> bytes:
        """Where a recording's targets lie: under its content and the teacher, so that no shard serves another one."""
        try:
            content = bytes.fromhex(str(key))
        except ValueError:
            content = b""
        if len(content) != 32:
            raise EdgeSerError(f"{key!r} is no key of a recording; take content_key(wave)")
        return hashlib.sha256(content + self.teacher_id.encode()).digest()

    def _claim(self) -> None:
        """Say whose targets these are, or see that they are this teacher's."""
        path = self.folder / _ABOUT
        mine = {
            "format": _VERSION,
            "teacher": self.teacher_id,
            "labels": list(self.labels),
            "hint_size": self.hint_size,
        }
        if not path.exists():
            write_json(path, mine)
        about = _description(path)
        if about != mine:
            differs = next(name for name in mine if about[name] != mine[name])
            raise EdgeSerError(
                f"{self.folder} holds the targets of another teacher (its {differs} is {_short(about[differs])}, this "
                f"teacher's {_short(mine[differs])}); give each teacher a folder of its own"
            )


def _description(path: Path) -> dict:
    about = parse_json_object(path.read_bytes(), str(path))
    if about.get("format") != _VERSION:
        raise EdgeSerError(
            f"{path} is of format {about.get('format')}, this edge-ser reads {_VERSION}; label again"
        )
    kinds = {"teacher": str, "labels": list, "hint_size": int}
    if bad := [name for name, kind in kinds.items() if not isinstance(about.get(name), kind)]:
        raise EdgeSerError(
            f"{path} is damaged (its {', '.join(bad)}); remove {path.parent} and run edge-ser label again"
        )
    return about


def _given(row: Array) -> Array | None:
    return None if not row.size or np.isnan(row).all() else row.astype(np.float32)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:12] + "..."
