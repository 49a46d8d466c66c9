"""Clips in several views: each itself, and perturbed copies that a teacher hears as well."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from edge_ser.audio import load_audio
from edge_ser.corpora import Clip
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError, MissingExtraError
from edge_ser.features.cache import Cache, CacheError, DamagedEntryError
from edge_ser.models.base import Network
from edge_ser.perturb import Perturber
from edge_ser.teachers.targets import TargetStore, content_key
from edge_ser.training.data import Taught

__all__ = ["CONTENT", "ViewMaker", "Views", "computed", "content_keys", "taught_by"]

Progress = Callable[[Iterable[Clip]], Iterable[Clip]]
Floats = npt.NDArray[np.float32]
Array = npt.NDArray[Any]
#: Counts up when the same clip no longer gives the same arrays.
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class ViewMaker:
    """How many views of a clip there are, and what makes them beyond the clip itself.

    Attributes
    ----------
    count : int
        At least 1; view 0 is the clip.
    perturber : Perturber, optional
        Makes the others; needed where there are any.
    """

    count: int = 1
    perturber: Perturber | None = None

    def describe(self, view: int) -> str:
        """What a view's content depends on beside the clip's."""
        if view == 0:
            return "itself"
        assert self.perturber is not None  # count would be 1
        return f"{self.perturber.fingerprint} {view}"

    def make(self, wave: Floats, view: int) -> Floats:
        """A view of a recording: (n,) float32 at 16 kHz to (m,) float32."""
        if view == 0:
            return wave
        assert self.perturber is not None
        return self.perturber.view(wave, content_key(wave), view)


def computed(
    clips: Sequence[Clip],
    maker: ViewMaker,
    functions: Mapping[str, Callable[[Floats], Array]],
    cache: Cache,
    progress: Progress = iter,
) -> dict[str, list[list[Array]]]:
    """Arrays for each view of each clip, from the cache where they were computed before.

    Parameters
    ----------
    clips : sequence of Clip
    maker : ViewMaker
    functions : mapping
        From what names a function and all that it depends on to the function: a recording (n,) float32 at 16 kHz to
        an array.
    cache : Cache
    progress : callable
        Wraps the clips.

    Returns
    -------
    dict
        From the same names to ``[view][clip]`` arrays.

    Raises
    ------
    EdgeSerError
        A clip cannot be read or a function refuses it, or the cache cannot be used.
    """
    rows: dict[str, list[list[Array]]] = {what: [[] for _ in range(maker.count)] for what in functions}
    try:
        cache.sweep()
        for clip in progress(clips):
            for number, views in enumerate(_of_clip(clip.path, maker, functions, cache)):
                for what, values in views.items():
                    rows[what][number].append(values)
    except CacheError as error:
        raise EdgeSerError(
            f"the cache {cache.folder} cannot be used ({error.__cause__}); choose other --runs"
        ) from error
    return rows


def _of_clip(
    path: Path, maker: ViewMaker, functions: Mapping[str, Callable[[Floats], Array]], cache: Cache
) -> Iterator[dict[str, Array]]:
    """What the functions give for each view of a recording; sound is read and made only where it is needed."""
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    wave: Floats | None = None
    for number in range(maker.count):
        view: Floats | None = None
        found: dict[str, Array] = {}
        for what, function in functions.items():
            key = Cache.key(content, {"what": what, "view": maker.describe(number), "version": _VERSION})
            try:
                values = cache.get(key)
            except DamagedEntryError:  # a disk's error or another program's doing: computed anew
                values = None
            if values is None:
                wave = load_audio(path) if wave is None else wave
                try:
                    view = maker.make(wave, number) if view is None else view
                    values = function(view)
                except MissingExtraError:  # no recording's fault
                    raise
                except EdgeSerError as error:
                    raise EdgeSerError(f"{path}{f', view {number}' if number else ''}: {error}") from error
                cache.put(key, values)
            found[what] = values
        yield found


def _digest(wave: Floats) -> Array:
    return np.frombuffer(bytes.fromhex(content_key(wave)), np.uint8)


#: For `computed`: the `content_key` of a recording as 32 bytes.
CONTENT = {"content key": _digest}


def content_keys(rows: dict[str, list[list[Array]]]) -> list[list[str]]:
    """``[view][clip]`` keys from what `computed` gave for `CONTENT`."""
    return [[one.tobytes().hex() for one in row] for row in rows["content key"]]


class Views(NamedTuple):
    """What training needs of the views of some clips."""

    features: list[list[Array]]  # [view][clip] (frames, n_mels) float16
    keys: list[list[str]]  # [view][clip], as `content_key` gives them

    @classmethod
    def load(
        cls,
        clips: Sequence[Clip],
        maker: ViewMaker,
        spec: MelSpec,
        network: type[Network],
        cache: Cache,
        progress: Progress = iter,
    ) -> Views:
        """Log-mel in half precision (0.03 dB at 60 dB) as a network takes it, and content keys.

        Parameters
        ----------
        clips : sequence of Clip
        maker : ViewMaker
        spec : MelSpec
        network : type of Network
            What its `prepare` does to a recording comes before the features.
        cache : Cache
        progress : callable
            Wraps the clips.

        Raises
        ------
        EdgeSerError
            As `computed`.
        """

        def features(wave: Floats) -> Array:
            return network.heard(wave, spec).astype(np.float16)

        what = f"log-mel {network.__name__} {spec}"
        rows = computed(clips, maker, {what: features, **CONTENT}, cache, progress)
        return cls(rows[what], content_keys(rows))

    def pick(self, index: Sequence[int]) -> Views:
        """Some of the clips."""
        return Views(
            [[row[i] for i in index] for row in self.features], [[row[i] for i in index] for row in self.keys]
        )


def taught_by(store: TargetStore, keys: Sequence[Sequence[str]], labels: Sequence[str]) -> Taught:
    """A teacher's targets of views, as tensors in the order of a student's classes.

    Parameters
    ----------
    store : TargetStore
    keys : [view][clip] content keys
    labels : sequence of str
        The student's classes; one that the teacher does not know gets a logit that leaves it no probability.

    Returns
    -------
    Taught
        NaN in the parts that the teacher does not give.

    Raises
    ------
    EdgeSerError
        Recordings that the teacher has not labelled.
    """
    if missing := store.missing([key for row in keys for key in row]):
        raise EdgeSerError(
            f"{store.folder} lacks {len(missing)} of {sum(map(len, keys))} recordings and views: label them with "
            "edge-ser teach or edge-ser label, with the same [perturb] and views"
        )
    if labels and store.labels and not set(labels) & set(store.labels):
        raise EdgeSerError(
            f"the teacher of {store.folder} knows {', '.join(store.labels)}, and none of the student's classes: "
            "name another"
        )
    columns = [store.labels.index(label) if label in store.labels else -1 for label in labels]
    shape = (len(keys), len(keys[0]))
    logits = np.full((*shape, len(labels)), np.nan, np.float32)
    adv = np.full((*shape, 3), np.nan, np.float32)
    hint = np.full((*shape, store.hint_size), np.nan, np.float32)
    for view, row in enumerate(keys):
        for i, key in enumerate(row):
            said = store.get(key)
            if said.logits is not None:
                # a class that the teacher does not know is as unlikely as can be said
                logits[view, i] = [said.logits[c] if c >= 0 else said.logits.min() - 20.0 for c in columns]
            if said.adv is not None:
                adv[view, i] = said.adv
            if said.hint is not None:
                hint[view, i] = said.hint
    return Taught(*(torch.from_numpy(part) for part in (logits, adv, hint)))
