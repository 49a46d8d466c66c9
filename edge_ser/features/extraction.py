"""Something computed from each of many files: from the cache where it is there, over processes where asked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache as remember
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import edge_ser.audio
import edge_ser.dsp
from edge_ser.audio import load_audio
from edge_ser.dsp.compute import features_backend, use_features_backend
from edge_ser.errors import EdgeSerError, MissingExtraError
from edge_ser.features.cache import Cache, CacheError, DamagedEntryError

__all__ = ["Compute", "Result", "begin_worker", "code_version", "extract"]

# Short files go to a worker together, up to so many and so long: handing over one alone costs 6 % of its time.
_CHUNK_FILES, _CHUNK_BYTES = 8, 1 << 18

#: From a recording, (n,) float32 at 16 kHz, to an array of numbers.
Compute = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]


class Result(NamedTuple):
    """What became of one file.

    Attributes
    ----------
    path : Path
        The file.
    values : ndarray or None
        What was computed; None for a file that could not be done.
    error : str or None
        Why it could not be done, in a sentence.
    cached : bool
        It was taken from the cache.
    damaged : str or None
        The entry of the cache that was found damaged, and has been replaced.
    """

    path: Path
    values: npt.NDArray[Any] | None
    error: str | None = None
    cached: bool = False
    damaged: str | None = None


class _Job(NamedTuple):
    """All that a worker needs; it can be pickled."""

    compute: Compute
    description: Mapping[str, Any]
    cache: Cache | None
    backend: str  # a worker would choose its own

    def __call__(self, path: Path) -> Result:
        try:
            return self._done(path)
        except (CacheError, MissingExtraError):  # no file's fault
            raise
        except EdgeSerError as error:
            return Result(path, None, str(error))

    def _done(self, path: Path) -> Result:
        if self.cache is None:
            return Result(path, self.compute(load_audio(path)))
        key = self.cache.key(_content(path), self.description)
        damaged = None
        try:
            values = self.cache.get(key)
        except DamagedEntryError as error:
            values, damaged = None, str(error)
        if values is not None:
            return Result(path, values, cached=True)
        values = self.compute(load_audio(path))
        self.cache.put(key, values)
        return Result(path, values, damaged=damaged)


def extract(
    paths: Sequence[str | os.PathLike[str]],
    compute: Compute,
    description: Mapping[str, Any],
    *,
    cache: Cache | None = None,
    jobs: int = 1,
) -> Generator[Result, None, None]:
    """Compute something from each of many sound files.

    Parameters
    ----------
    paths : sequence of path
        The files.
    compute : callable
        From a recording, (n,) float32 at 16 kHz, to an array of numbers. With more than one job it has to be
        something that can be pickled: a function of a module, or `functools.partial` of one.
    description : mapping
        Everything that the result depends on beside the audio and the code, as values for JSON. The key of an entry
        in the cache is made of it, of the file's bytes and of `code_version`.
    cache : Cache, optional
        Where results are kept as soon as they are there; none is used when left out.
    jobs : int
        Processes, this one among them. The others are started by "spawn", so a script has to keep its own work under
        ``if __name__ == "__main__"``. The results are the same, bit for bit, for any number.

    Yields
    ------
    Result
        In the order of `paths`, each as soon as it and those before it are done. A file that cannot be read or is
        refused by `compute` (`EdgeSerError`) has an `error`; the others are still done.

    Raises
    ------
    CacheError
        The cache cannot be used.
    MissingExtraError
        A package that reads or resamples the files is not installed.
    EdgeSerError
        `jobs` is below 1, or a process was killed. What was done until then is in the cache.
    """
    if jobs < 1:
        raise EdgeSerError(f"the number of jobs must be at least 1, not {jobs}")
    if cache is not None:
        _try_out(cache)
    job = _Job(compute, {**description, **_ground(compute)}, cache, features_backend())
    files = [Path(path) for path in paths]
    jobs = min(jobs, len(files))
    if jobs <= 1:
        return (job(path) for path in files)
    return _spread(job, files, jobs)


def _spread(job: _Job, files: Sequence[Path], jobs: int) -> Generator[Result, None, None]:
    """Over `jobs` processes, this one among them: it has paid for its start already, and would only wait."""
    import multiprocessing

    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs - 1, spawn, initializer=_begin, initargs=(job,))
    try:
        chunks = _chunks(files)
        asked: dict[int, Future[list[Result]]] = {}
        own: dict[int, list[Result]] = {}
        begun = 0
        for i in range(len(chunks)):
            while i not in own and not (i in asked and asked[i].done()):
                # Two ahead for each worker, so that none waits while this process computes.
                while begun < len(chunks) and sum(not f.done() for f in asked.values()) < 2 * (jobs - 1):
                    with _uninterrupted():  # it may start a process
                        asked[begun] = pool.submit(_work, chunks[begun])
                    begun += 1
                if begun < len(chunks):
                    own[begun] = [job(path) for path in chunks[begun]]
                    begun += 1
                elif i in asked:
                    wait([asked[i]])
            yield from own.pop(i) if i in own else asked.pop(i).result()
    except BrokenProcessPool as error:
        raise EdgeSerError(
            "a process that computes features ended unexpectedly (is there enough memory for so many jobs?); "
            "run it again with fewer: what is in the cache need not be done again"
        ) from error
    finally:
        # On Ctrl-C too: what workers have in hand is finished, and so in the cache; the rest is not begun.
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals to end wait: a process whose parent is interrupted while it starts it has half of what it is to read.

    Blocking them would not do: another thread takes them then, and Python still runs the handler in this one.
    """
    if threading.current_thread() is not threading.main_thread():  # where Python runs no handlers
        yield
        return
    held: list[int] = []
    before = {
        number: signal.signal(number, lambda which, frame: held.append(which))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for which in held:
            signal.raise_signal(which)


_job: _Job | None = None


def _begin(job: _Job) -> None:
    """In a new worker: what to do, and how to end."""
    global _job
    _job = job
    use_features_backend(job.backend)
    begin_worker()


def begin_worker() -> None:
    """In a new process of a pool: leave Ctrl-C to the parent, and end when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the parent decides
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """End with the parent, however it ends: a killed one cannot tell its workers."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(paths: Sequence[Path]) -> list[Result]:
    assert _job is not None
    return [_job(path) for path in paths]


def _chunks(files: Sequence[Path]) -> list[list[Path]]:
    """Files in their order, short neighbours together; one that is not there weighs nothing."""
    chunks: list[list[Path]] = []
    room = 0
    for path in files:
        size = path.stat().st_size if path.is_file() else 0
        if not chunks or size > room or len(chunks[-1]) == _CHUNK_FILES:
            chunks.append([])
            room = _CHUNK_BYTES
        chunks[-1].append(path)
        room -= size
    return chunks


def _try_out(cache: Cache) -> None:
    """Say now, not after the first file, that a cache cannot be written."""
    cache.sweep()
    probe = cache.key("probe", {"process": os.getpid()})
    cache.put(probe, np.zeros(0))
    cache.path(probe).unlink(missing_ok=True)


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        load_audio(path)  # says better what is wrong
        raise EdgeSerError(f"cannot read {path}: {error.strerror or error}") from error


@remember
def code_version(module: str) -> str:
    """Hash of the source that features come from: reading, `edge_ser.dsp`, `edge_ser.features`, and one module more.

    A number to be raised by hand would be forgotten, and a stale entry is worse than one computed again.
    """
    sums = hashlib.sha256()
    files = {Path(edge_ser.audio.__file__)}
    for folder in (Path(edge_ser.dsp.__file__).parent, Path(__file__).parent):
        files |= {*folder.rglob("*.py"), *folder.rglob("*.c")}
    name = getattr(sys.modules[module], "__file__", None)  # an interactive session has none
    for path in (*sorted(files), *([] if name is None else [Path(name)])):
        sums.update(path.name.encode() + b"\0" + path.read_bytes())
    return sums.hexdigest()


def _ground(compute: Compute) -> dict[str, str]:
    """What else a result depends on: the code, and the packages that read, resample and compute."""
    inner: Any = compute
    while isinstance(inner, partial):
        inner = inner.func
    versions = {}
    for package in ("numpy", "numba", "soundfile", "soxr"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "none"
    return {"code": code_version(inner.__module__), "backend": features_backend(), **versions}
