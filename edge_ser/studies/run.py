"""A study at work: its parts, each kept as soon as it is done, over processes where asked."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
import signal
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edge_ser import __version__
from edge_ser.corpora import Corpus, LeftOut, SoundCollection, load_corpus, load_sounds
from edge_ser.corpora.roots import VARIABLE
from edge_ser.errors import EdgeSerError
from edge_ser.features.cache import Cache
from edge_ser.features.extraction import Compute, begin_worker, extract
from edge_ser.files import expand_user, write_atomic, write_json
from edge_ser.progress import ProgressBar, progress_bar
from edge_ser.studies.base import PROTOCOLS, SCALES

__all__ = ["Features", "Part", "StudyRun", "Unit", "check_classes"]

T = TypeVar("T")

#: What a part of a study gives: names to arrays or to values for JSON.
Part = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Unit:
    """A part to be done: `function` of the `StudyRun` and of `settings`, kept under `key`.

    Attributes
    ----------
    key : str
        For people, in the progress bar and in the file's name.
    function : callable
        Of a module (so that another process finds it), with the run as its first argument.
    settings : mapping
        Its other arguments, values for JSON. Another setting is another part, so whatever the result depends on beside
        code and scale is one: epochs, rates, widths.
    scale : str or None
        That it is done at; the run's if None.
    """

    key: str
    function: Callable[..., Part]
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    scale: str | None = None


@dataclasses.dataclass(frozen=True)
class Features:
    """What was computed of sound files.

    Attributes
    ----------
    kept : list of int
        Places of the files that could be done.
    values : list of ndarray
        Of those, in their order.
    left_out : list of LeftOut
        The others, and why.
    """

    kept: list[int]
    values: list[np.ndarray]
    left_out: list[LeftOut]


@dataclasses.dataclass(frozen=True)
class StudyRun:
    """How a study is to be run, and the means for it. It is handed to other processes as it is.

    Attributes
    ----------
    study : str
        Its name.
    folder : Path
        Holds ``parts`` (what is done), ``work`` (what is begun) and ``cache`` (features).
    scale : {"full", "quick", "miniature"}
    protocols : tuple of {"as-published", "honest"}
    seeds : tuple of int
        A model of each.
    jobs : int
        Processes.
    data : Path or None
        Folder with one folder a corpus, or what else the study documents; `edge_ser.corpora.data_root` if None.
    options : mapping
        Of `Study.options`, those that were set.
    full : tuple of str
        Keys of lines whose recipe is that of the full study, whatever the scale is; see `at`.
    quiet : bool
        No bars: set in other processes.

    Raises
    ------
    EdgeSerError
        A value is out of its range.
    """

    study: str
    folder: Path
    scale: str = "full"
    protocols: tuple[str, ...] = tuple(PROTOCOLS)
    seeds: tuple[int, ...] = (0,)
    jobs: int = 1
    data: Path | None = None
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    full: tuple[str, ...] = ()
    quiet: bool = False
    _seconds: dict[str, float] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    _cpu: dict[str, float] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise EdgeSerError(f"unknown scale {self.scale!r}; choose one of {', '.join(SCALES)}")
        if not self.protocols or set(self.protocols) - set(PROTOCOLS):
            raise EdgeSerError(f"a study is run under {' or '.join(PROTOCOLS)}, or both")
        if not self.seeds or self.jobs < 1:
            raise EdgeSerError("a study needs at least one seed and one job")

    def pick(self, *, full: T, quick: T, miniature: T) -> T:
        """The value of this scale."""
        return {"full": full, "quick": quick, "miniature": miniature}[self.scale]

    def at(self, line: str) -> StudyRun:
        """The run at the scale of one line: its recipe is `pick`-ed there, its folds are those of the run."""
        return dataclasses.replace(self, scale="full") if line in self.full else self

    def alike(self, *lines: str) -> bool:
        """Lines are run at one scale, so that one may be held against another."""
        return len({self.at(line).scale for line in lines}) < 2

    @property
    def seconds(self) -> float:
        """Seconds of computing behind all parts that were asked for, also those done earlier."""
        return sum(self._seconds.values())

    @property
    def cpu_seconds(self) -> float:
        """User and system time behind all parts and features that were asked for, also of those done earlier."""
        return sum(self._cpu.values())

    def corpus(self, name: str) -> Corpus:
        """A corpus of speech; an `EdgeSerError` says where to get it, or that it holds one class only."""
        corpus = load_corpus(name, self.data)
        check_classes(name, sorted({clip.emotion for clip in corpus.clips if clip.emotion}))
        return corpus

    def sounds(self, name: str) -> SoundCollection:
        """A collection of sounds; errors as in `corpus`."""
        sounds = load_sounds(name, self.data)
        check_classes(name, sounds.labels)
        return sounds

    def features(
        self,
        paths: Sequence[str | Path],
        compute: Compute,
        description: Mapping[str, Any],
        what: str = "features",
    ) -> Features:
        """Something of each of many sound files, kept on disk by their content, see `edge_ser.features.extract`.

        Parameters
        ----------
        paths : sequence of path
        compute : callable
            From (n,) float32 at 16 kHz to an array; of a module, or a `functools.partial` of one.
        description : mapping
            What the result depends on beside audio and code.
        what : str
            For the progress bar.

        Raises
        ------
        EdgeSerError
            No file could be read.
        """
        cache = Cache(self.folder / "cache")
        jobs = 1 if self.quiet else self.jobs
        kept, values, left_out = [], [], []
        before, computed = cpu_time(), False
        with progress_bar(what, len(paths), quiet=self.quiet) as bar:
            results = extract(paths, compute, description, cache=cache, jobs=jobs)
            for place, result in enumerate(bar.wrap(results)):
                computed = computed or not result.cached
                if result.values is None:
                    left_out.append(LeftOut(str(result.path), result.error or "it cannot be read"))
                else:
                    kept.append(place)
                    values.append(result.values)
        if not kept:
            raise EdgeSerError(f"none of {len(paths)} files can be used; the first: {left_out[0].reason}"
                               if left_out else "there are no files")  # fmt: skip
        self._count_features(_file_name(what, {**description, "scale": self.scale}), before, computed)
        return Features(kept, values, left_out)

    def _count_features(self, key: str, before: float, computed: bool) -> None:
        """What features cost is kept beside them, since they are not computed when they are asked for again."""
        if "part" in self._cpu:  # within a part it counts there
            return
        place = self.folder / "cache" / "cpu.json"
        known = json.loads(place.read_bytes()) if place.exists() else {}
        if computed:
            known[key] = known.get(key, 0.0) + cpu_time() - before
            write_json(place, known)
        self._cpu[key] = known.get(key, 0.0)

    def bar(self, what: str, total: int, unit: str = "it") -> ProgressBar:
        """A progress bar within a part; unseen in other processes."""
        return progress_bar(what, total, unit, quiet=self.quiet)

    def part(self, key: str, function: Callable[..., Part], **settings: Any) -> Part:
        """Do one part, or read what it gave before; parameters as in `Unit`."""
        return self.parts([Unit(key, function, settings)])[0]

    def parts(self, units: Sequence[Unit], what: str = "parts") -> list[Part]:
        """Do parts, over `jobs` processes, and read those that are done already.

        Parameters
        ----------
        units : sequence of Unit
        what : str
            For the progress bar.

        Returns
        -------
        list of mapping
            In the order of `units`: what each function gave, as read from its file.

        Raises
        ------
        EdgeSerError
            Two units are the same, a function gave what cannot be kept, or a process was killed.
        """
        places = [self._place(unit) for unit in units]
        if len(set(places)) < len(places):
            raise EdgeSerError(f"two parts of {self.study} are the same; give them keys of their own")
        todo = [unit for unit, place in zip(units, places, strict=True) if not place.exists()]
        with progress_bar(f"{self.study}: {what}", len(units), "part", quiet=self.quiet) as bar:
            for _ in range(len(units) - len(todo)):
                bar.update()
            if min(self.jobs, len(todo)) < 2 or self.quiet:
                for unit in todo:
                    bar.say(unit.key)
                    self._do(unit)
                    bar.update()
            else:
                self._spread(todo, bar)
        return [self._read(place) for place in places]

    def cost_of(self, unit: Unit) -> float | None:
        """User and system seconds that a part took; None where it is not done."""
        place = self._place(unit)
        if not place.exists():
            return None
        self._read(place)
        return self._cpu[place.name]

    def workplace(self, key: str, **settings: Any) -> Path:
        """A folder for a checkpoint within a part, by what tells it apart; all of them go when the study is done."""
        folder = self.folder / "work" / _file_name(key, settings)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clean(self) -> None:
        """Remove what only unfinished parts need."""
        if (self.folder / "work").is_dir():
            shutil.rmtree(self.folder / "work")

    def _place(self, unit: Unit) -> Path:
        function = f"{unit.function.__module__}.{unit.function.__qualname__}"
        data = self.data or os.environ.get(VARIABLE)  # named either way, it is the same folder
        known = {
            "function": function,
            "settings": unit.settings,
            "scale": unit.scale or self.scale,
            "version": __version__,
            "data": str(expand_user(data).resolve()) if data else None,
        }
        return self.folder / "parts" / f"{_file_name(unit.key, known)}.npz"

    def _do(self, unit: Unit) -> None:
        start, before = time.perf_counter(), cpu_time()
        within = dataclasses.replace(self, scale=unit.scale or self.scale, _cpu={"part": 0.0})
        given = unit.function(within, **unit.settings)
        plain = {name: value for name, value in given.items() if not isinstance(value, np.ndarray)}
        arrays = {name: value for name, value in given.items() if isinstance(value, np.ndarray)}
        try:
            took = {"seconds": time.perf_counter() - start, "cpu_seconds": cpu_time() - before}
            text = json.dumps({"values": plain, **took}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise EdgeSerError(f"the part {unit.key} of {self.study} cannot be kept: {error}") from error
        data = io.BytesIO()
        np.savez_compressed(data, allow_pickle=False, **{f"array {n}": v for n, v in arrays.items()},
                            json=np.frombuffer(text.encode(), np.uint8))  # fmt: skip
        place = self._place(unit)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(place, data.getvalue())

    def _read(self, place: Path) -> Part:
        try:
            with np.load(place, allow_pickle=False) as kept:
                told = json.loads(bytes(kept["json"]).decode())
                arrays = {n.removeprefix("array "): kept[n] for n in kept.files if n != "json"}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise EdgeSerError(f"{place} is damaged ({error}); remove it, and it is made again") from error
        self._seconds[place.name] = float(told["seconds"])
        self._cpu[place.name] = float(told["cpu_seconds"])
        return {**told["values"], **arrays}

    def _spread(self, todo: Sequence[Unit], bar: ProgressBar) -> None:
        import multiprocessing

        quiet = dataclasses.replace(self, quiet=True, _seconds={}, _cpu={})
        spawn = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(self.jobs, len(todo)), spawn, initializer=begin_worker)
        try:
            waiting: dict[Future[None], str] = {pool.submit(_work, quiet, unit): unit.key for unit in todo}
            while waiting:
                bar.say(next(iter(waiting.values())))
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    del waiting[future]
                    future.result()
                    bar.update()
        except BrokenProcessPool as error:
            raise EdgeSerError(
                "a process of the study ended unexpectedly (is there enough memory for so many jobs?); run it again "
                "with fewer: what is done need not be done again"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def cpu_time() -> float:
    """User and system seconds of this process and of those that it started and that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _work(run: StudyRun, unit: Unit) -> None:
    """In another process. Within a part Ctrl-C ends it; between parts it is the parent's alone."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run._do(unit)
    finally:
        signal.signal(signal.SIGINT, before)


def _file_name(key: str, known: Mapping[str, Any]) -> str:
    text = json.dumps([key, known], sort_keys=True, allow_nan=False)
    plain = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:60]
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def check_classes(name: str, labels: Sequence[str]) -> None:
    """Refuse a collection of one class: `EdgeSerError`."""
    if len(labels) < 2:
        held = f"one class only ({labels[0]})" if labels else "no classes"
        raise EdgeSerError(f"{name} holds {held}; to tell classes apart, give a copy with two or more")
