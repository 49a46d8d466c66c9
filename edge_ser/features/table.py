"""A table of feature vectors, a row a recording: as NumPy records, a pandas table, or a file."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge_ser.audio import SAMPLE_RATE
from edge_ser.errors import EdgeSerError, require
from edge_ser.features.cache import Cache
from edge_ser.features.extraction import Result, extract
from edge_ser.features.recordings import Recording
from edge_ser.features.spec import VectorSpec
from edge_ser.features.vector import feature_vector, vector_names
from edge_ser.files import valid_text, write_atomic

if TYPE_CHECKING:
    import pandas

__all__ = ["SUFFIXES", "FeatureRows", "check_table", "extract_rows"]

SUFFIXES = (".csv", ".npz", ".parquet")

#: What a recording may be known by, in the order of the columns; others follow.
_FIRST = ("file", "corpus", "speaker", "emotion", "label")


@dataclass(frozen=True)
class FeatureRows:
    """Feature vectors of recordings.

    Attributes
    ----------
    known : dict of str to list
        Columns that identify a row: ``file``, and what its corpus says of it (``speaker``, ``emotion``, ``fold``, ...);
        None where nothing is known.
    names : tuple of str
        Columns of features.
    values : (rows, len(names)) float32
    spec : VectorSpec
        What they are.
    """

    known: dict[str, list[Any]]
    names: tuple[str, ...]
    values: npt.NDArray[np.float32]
    spec: VectorSpec

    def __len__(self) -> int:
        return len(self.values)

    def to_records(self) -> npt.NDArray[Any]:
        """A NumPy record array: a field for each column; what is not known is NaN or an empty string."""
        columns = {name: _column(values) for name, values in self.known.items()}
        types = [(name, values.dtype) for name, values in columns.items()]
        records = np.empty(len(self), [*types, *((name, np.float32) for name in self.names)])
        for name, values in columns.items():
            records[name] = values
        for i, name in enumerate(self.names):
            records[name] = self.values[:, i]
        return records

    def to_pandas(self) -> pandas.DataFrame:
        """A pandas table, a column for each.

        Raises
        ------
        MissingExtraError
            pandas is not installed.
        """
        pd = require("pandas", extra="features", purpose="tables of pandas")
        known = pd.DataFrame(self.known)
        return pd.concat([known, pd.DataFrame(self.values, columns=list(self.names))], axis=1)

    def to_csv(self) -> str:
        """Comma-separated values with a head line; numbers in as few digits as give them back exactly."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*self.known, *self.names])
        columns = list(self.known.values())
        for i, row in enumerate(self.values):
            known = ("" if column[i] is None else column[i] for column in columns)
            writer.writerow([*known, *map(str, row)])
        return out.getvalue()

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a file of the kind that its name says, whole or not at all.

        ``.npz`` holds ``values``, ``names``, ``spec`` (JSON), and each column of `known` under its own name.

        Raises
        ------
        MissingExtraError
            ``.parquet``, and pandas or pyarrow is not installed.
        EdgeSerError
            Another kind, or it cannot be written.
        """
        check_table(path)
        kind = Path(path).suffix.lower()
        if kind == ".csv":
            write_atomic(path, valid_text(self.to_csv()).encode())
            return
        data = io.BytesIO()
        if kind == ".npz":
            arrays = {name: _column(values) for name, values in self.known.items()}
            arrays |= {"values": self.values, "names": np.array(self.names)}
            arrays["spec"] = np.array(json.dumps(self.spec.to_dict()))
            # Not numpy.savez, whose own argument "file" leaves no room for the column. Nor packed: that takes longer
            # than a tenth of the features themselves, and saves little.
            with zipfile.ZipFile(data, "w") as archive:
                for name, array in arrays.items():
                    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
        else:
            known = {
                name: [valid_text(one) if isinstance(one, str) else one for one in column]
                for name, column in self.known.items()
            }
            replace(self, known=known).to_pandas().to_parquet(data, index=False)
        write_atomic(path, data.getvalue())


def check_table(path: str | os.PathLike[str]) -> None:
    """Refuse a file that could not be written, before work is put into its content; errors as `FeatureRows.write`."""
    target = Path(path)
    kind = target.suffix.lower()
    if kind not in SUFFIXES:
        raise EdgeSerError(
            f"{target} is no kind of table that can be written; name a {', '.join(SUFFIXES)} file"
        )
    if not target.parent.is_dir():
        raise EdgeSerError(f"there is no folder {target.parent} for the table")
    if kind == ".parquet":
        for module in ("pandas", "pyarrow"):
            require(module, extra="features", purpose="writing .parquet files")


def extract_rows(
    recordings: Sequence[Recording],
    spec: VectorSpec,
    *,
    cache: Cache | None = None,
    jobs: int = 1,
    progress: Callable[[Iterable[Result]], Iterable[Result]] = iter,
) -> tuple[FeatureRows, list[Result]]:
    """Feature vectors of recordings.

    Parameters
    ----------
    recordings : sequence of Recording
        See `edge_ser.features.recordings.find_recordings`.
    spec : VectorSpec
        What to compute; its sample rate is that of `edge_ser.audio.load_audio`.
    cache, jobs
        See `edge_ser.features.extract`.
    progress : callable
        Sees each result as it comes, and hands it on.

    Returns
    -------
    rows : FeatureRows
        Of the recordings that could be done, in their order.
    failed : list of Result
        The others, with their errors.

    Raises
    ------
    EdgeSerError
        As `extract`, or a spec of another sample rate.
    """
    if spec.frames.sample_rate != SAMPLE_RATE:
        raise EdgeSerError(
            f"files are read at {SAMPLE_RATE} Hz, but the features want {spec.frames.sample_rate} Hz"
        )
    names = vector_names(spec)
    results = extract(
        [recording.path for recording in recordings],
        partial(feature_vector, spec=spec),
        {"vector": spec.to_dict()},
        cache=cache,
        jobs=jobs,
    )
    done: list[tuple[Recording, npt.NDArray[Any]]] = []
    failed: list[Result] = []
    # Closed here, where an interrupted run still hears signals, and not when its traceback is let go of.
    with contextlib.closing(results):
        for recording, result in zip(recordings, progress(results), strict=True):
            if result.values is None:
                failed.append(result)
            else:
                done.append((recording, result.values))
    told = [{"file": str(recording.path), **recording.known} for recording, _ in done]
    columns = dict.fromkeys(key for row in told for key in row)
    order = [*(c for c in _FIRST if c in columns), *(c for c in columns if c not in _FIRST)]
    known = {column: [row.get(column) for row in told] for column in order or ["file"]}
    values = np.array([row for _, row in done], np.float32).reshape(len(done), len(names))
    return FeatureRows(known, names, values, spec), failed


def _column(values: Sequence[Any]) -> npt.NDArray[Any]:
    """One type for a column: whole numbers, numbers with NaN for None, or text with '' for None."""
    present = [value for value in values if value is not None]
    if present and len(present) == len(values) and all(isinstance(v, int) for v in present):
        return np.array(values, np.int64)
    if present and all(isinstance(v, int | float) for v in present):
        return np.array([np.nan if v is None else v for v in values], np.float64)
    return np.array(["" if v is None else str(v) for v in values], np.str_)
