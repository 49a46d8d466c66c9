"""Extraction: the same for any number of processes, found again in the cache, and safe when killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge_ser.audio import load_audio, write_wav
from edge_ser.dsp.compute import use_features_backend
from edge_ser.errors import EdgeSerError, MissingExtraError
from edge_ser.features import Cache, CacheError
from edge_ser.features.extraction import extract
from tests.edge_ser.features import computes

ROOT = Path(__file__).resolve().parents[3]


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.wav"))


def entries(cache: Cache) -> list[Path]:
    return sorted(p for p in cache.folder.glob("??/*") if p.is_file())


def test_each_file_has_its_own_in_the_order_given(sounds):
    paths = files_of(sounds)[::-1]
    results = list(extract(paths, computes.stats, {}))
    assert [r.path for r in results] == paths
    for result in results:
        if result.path.name == "2-bad.wav":
            assert result.values is None and "2-bad.wav is not a sound file" in result.error
        else:
            assert result.error is None and not result.cached
            np.testing.assert_array_equal(result.values, computes.stats(load_audio(result.path)))


@pytest.mark.parametrize("jobs", [2, 3])
def test_any_number_of_processes_gives_the_same(sounds, jobs, tmp_path):
    paths = files_of(sounds) * 2
    alone = list(extract(paths, computes.picky, {}))
    cache = Cache(tmp_path / "cache")
    for run in ("computed", "cached"):
        together = list(extract(paths, computes.picky, {}, cache=cache, jobs=jobs))
        for one, other in zip(alone, together, strict=True):
            assert (one.path, one.error) == (other.path, other.error), run
            assert (one.values is None) == (other.values is None)
            if one.values is not None:
                assert one.values.tobytes() == other.values.tobytes()
    assert all(r.cached for r in together if r.values is not None)


def test_the_cache_goes_by_content_and_description(sounds, tmp_path):
    cache = Cache(tmp_path / "cache")
    path, twin = sounds / "0.wav", tmp_path / "twin.wav"
    shutil.copy(path, twin)

    def cached(file, description, compute=computes.stats):
        (result,) = extract([file], compute, description, cache=cache)
        assert result.values is not None
        return result.cached

    assert not cached(path, {"a": 1})
    assert cached(path, {"a": 1})
    assert cached(twin, {"a": 1})  # the same bytes under another name
    assert not cached(path, {"a": 2})  # another description
    write_wav(path, np.zeros(5000))
    assert not cached(path, {"a": 1})  # other bytes under the same name


def test_the_cache_knows_code_backend_and_module(sounds, tmp_path, monkeypatch):
    from edge_ser.features import extraction as module

    cache = Cache(tmp_path / "cache")

    def cached():
        (result,) = module.extract([sounds / "0.wav"], computes.stats, {}, cache=cache)
        return result.cached

    assert [cached(), cached()] == [False, True]
    named = []
    monkeypatch.setattr(module, "code_version", lambda name: named.append(name) or "other code")
    assert [cached(), cached()] == [False, True]
    next(module.extract([sounds / "0.wav"], partial(partial(computes.slow), seconds=0.0), {}))
    assert set(named) == {computes.__name__}  # partial's own is none of it
    version = module.metadata.version
    for package in ("numpy", "numba", "soundfile", "soxr"):
        monkeypatch.setattr(
            module.metadata, "version", lambda name, other=package: "9" if name == other else version(name)
        )
        assert [cached(), cached()] == [False, True], package
    monkeypatch.setattr(module, "features_backend", lambda: "other")
    assert [cached(), cached()] == [False, True]


def test_code_version_is_that_of_the_source(tmp_path, monkeypatch):
    from edge_ser.features.extraction import code_version

    assert code_version(computes.__name__) == code_version(computes.__name__)
    assert code_version(computes.__name__) != code_version("edge_ser.features.vector")
    # a module's words count, not its name alone
    versions = set()
    for words in ("a = 1", "a = 2"):
        (tmp_path / "mine.py").write_text(words)
        monkeypatch.setitem(sys.modules, "mine", SimpleNamespace(__file__=str(tmp_path / "mine.py")))
        versions.add(code_version.__wrapped__("mine"))
    assert len(versions) == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_damaged_entry_is_computed_again_and_said(sounds, tmp_path, jobs):
    cache = Cache(tmp_path / "cache")
    paths = [p for p in files_of(sounds) if "bad" not in p.name]
    before = list(extract(paths, computes.stats, {}, cache=cache))
    victim = entries(cache)[1]
    victim.write_bytes(victim.read_bytes()[:-3])
    after = list(extract(paths, computes.stats, {}, cache=cache, jobs=jobs))
    assert [r.damaged for r in after if r.damaged] == [str(victim)]
    assert [r.cached for r in after] == [r.damaged is None for r in after]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    assert all(r.cached for r in extract(paths, computes.stats, {}, cache=cache))


def test_files_that_cannot_be_done_are_not_kept(sounds, tmp_path):
    cache = Cache(tmp_path / "cache")
    for _ in range(2):
        results = list(
            extract([sounds / "5.wav", sounds / "gone.wav", sounds], computes.picky, {}, cache=cache)
        )
        assert [r.error for r in results] == [
            "this one is too long",
            f"there is no file {sounds / 'gone.wav'}; check its name",
            f"{sounds} is a folder; name a sound file",
        ]
    assert entries(cache) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_no_files_fault_ends_it(sounds, jobs, tmp_path):
    paths = [sounds / "0.wav", sounds / "1.wav"]
    with pytest.raises(ZeroDivisionError):
        list(extract(paths, computes.broken, {}, jobs=jobs))
    with pytest.raises(MissingExtraError):
        list(extract(paths, computes.lacking, {}, jobs=jobs))
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="--no-cache"):
        extract(paths, computes.stats, {}, cache=Cache(tmp_path / "file"), jobs=jobs)  # before any work
    cache = Cache(tmp_path / "cache")
    results = extract(paths, computes.stats, {}, cache=cache, jobs=jobs)
    shutil.rmtree(cache.folder)
    cache.folder.write_text("")
    with pytest.raises(CacheError, match="--no-cache"):  # nor is this one file's fault
        list(results)
    with pytest.raises(EdgeSerError, match="at least 1, not 0"):
        extract(paths, computes.stats, {}, jobs=0)


def test_a_worker_that_dies_is_a_sentence(sounds):
    with pytest.raises(EdgeSerError, match="ended unexpectedly .* run it again with fewer"):
        list(extract([sounds / "0.wav"] * 200, computes.dying, {}, jobs=2))


def test_both_processes_work(sounds):
    """Files are shared, in order: neither this process nor the worker does them all."""
    pids = [int(r.values[0]) for r in extract([sounds / "0.wav"] * 100, computes.who, {}, jobs=2)]
    assert len(set(pids)) == 2 and os.getpid() in pids


def test_workers_compute_as_this_process_does(sounds):
    pytest.importorskip("numba", reason="numba is not installed (extra 'fast')")
    use_features_backend("numba")  # EDGE_SER_FEATURES says otherwise
    try:
        results = extract([sounds / "0.wav"] * 100, computes.backend, {}, jobs=2)
        found = {(int(r.values[0]), int(r.values[1])) for r in results}
    finally:
        use_features_backend(None)
    assert len(found) == 2 and {compiled for _, compiled in found} == {1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_end_waits_until_a_process_is_started(sounds, monkeypatch, number):
    """One that its parent left half started ended in a traceback of its own."""

    class Ended(Exception):
        pass

    def end(which, frame):
        assert which == number
        raise Ended

    started = []

    class Pool:
        def __init__(self, *given, **named):
            pass

        def submit(self, *work):
            signal.raise_signal(number)
            started.append(work)

        def shutdown(self, **how):
            started.append("shut down")

    monkeypatch.setattr("edge_ser.features.extraction.ProcessPoolExecutor", Pool)
    before = signal.signal(number, end)
    try:
        with pytest.raises(Ended):
            list(extract(files_of(sounds), computes.stats, {}, jobs=2))
        assert signal.getsignal(number) is end
    finally:
        signal.signal(number, before)
    assert len(started) == 2 and started[1] == "shut down"


def test_in_another_thread_processes_are_started_as_well(sounds):
    found = []
    files = files_of(sounds)
    work = threading.Thread(target=lambda: found.extend(extract(files, computes.stats, {}, jobs=2)))
    work.start()
    work.join(60)
    assert [result.path for result in found] == files


def test_what_was_left_written_aside_is_swept(sounds, tmp_path):
    cache = Cache(tmp_path / "cache")
    cache.folder.mkdir()
    (cache.folder / "aside-old").write_bytes(b"half")
    os.utime(cache.folder / "aside-old", (time.time() - 7200,) * 2)
    extract([sounds / "0.wav"], computes.stats, {}, cache=cache)
    assert list(cache.folder.glob("aside-*")) == []


def test_no_files_give_no_results():
    assert list(extract([], computes.stats, {}, jobs=4)) == []


SCRIPT = """
import sys
from functools import partial
from pathlib import Path
from edge_ser.features import Cache, extract
from tests.edge_ser.features import computes

if __name__ == "__main__":
    paths = sorted(Path(sys.argv[1]).glob("*.wav"))
    compute = partial(computes.slow, seconds=0.1)
    for result in extract(paths, compute, {}, cache=Cache(sys.argv[2]), jobs=int(sys.argv[3])):
        print(result.path, flush=True)
"""


def workers_of(group: int) -> list[str]:
    """Living processes of a process group, from /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(after_name[2]) == group and after_name[0] != "Z":
            found.append(stat.parent.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(("jobs", "blow"), [(1, signal.SIGKILL), (2, signal.SIGKILL), (2, signal.SIGINT)])
def test_killed_in_the_middle_it_goes_on_from_there(tmp_path, jobs, blow):
    folder, cache = tmp_path / "many", Cache(tmp_path / "cache")
    folder.mkdir()
    for i in range(60):
        write_wav(folder / f"{i:02d}.wav", np.full(500, i / 100))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(folder), str(cache.folder), str(jobs)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    for _ in range(4):
        assert run.stdout.readline()
    if blow == signal.SIGINT:
        os.killpg(run.pid, blow)  # as a terminal does: workers get it too
    else:
        run.kill()
    run.stdout.close()
    assert run.wait(timeout=20) != 0
    deadline = time.monotonic() + 20
    while workers_of(run.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers_of(run.pid) == []  # no worker outlives a parent, however that ended

    paths = files_of(folder)
    compute = partial(computes.slow, seconds=0.1)
    resumed = list(extract(paths, compute, {}, cache=cache))
    assert 4 <= sum(r.cached for r in resumed) < 60
    for result in resumed:
        assert result.damaged is None
        np.testing.assert_array_equal(result.values, computes.stats(load_audio(result.path)))
