"""Sounds in memory for views: noises, rooms, voices for babble, and what speech is mixed with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_ser.audio import load_audio
from edge_ser.corpora import Sound, corpus_names, load_corpus, load_sounds
from edge_ser.errors import EdgeSerError
from edge_ser.perturb.waves import Floats, as_wave

__all__ = ["Sounds", "load_sounds_of"]

#: Impulse responses whose names begin so are of filters and not of rooms; speech would not be left of one of them.
_NO_ROOM = "filter"
_TAIL_DB = 60.0  # of a room; what is below is not heard and costs time


@dataclass(frozen=True)
class Sounds:
    """What a `Perturb` may draw from beside what it makes itself.

    Attributes
    ----------
    noises, rooms, voices, others : tuple of ndarray of shape (n,), float32
        Noises, impulse responses, speech for babble, and sounds or speech to mix with, at 16 kHz; none is silent.
    digest : str
        SHA-256 of all of them, so that what was made of them can be told from what was made of others.
    """

    noises: tuple[Floats, ...] = field(default=(), compare=False, repr=False)
    rooms: tuple[Floats, ...] = field(default=(), compare=False, repr=False)
    voices: tuple[Floats, ...] = field(default=(), compare=False, repr=False)
    others: tuple[Floats, ...] = field(default=(), compare=False, repr=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        sha = hashlib.sha256()
        for kind in ("noises", "rooms", "voices", "others"):
            waves = tuple(as_wave(wave, f"one of the {kind}") for wave in getattr(self, kind))
            if not all(np.any(wave) for wave in waves):
                raise EdgeSerError(f"one of the {kind} is silent; leave it out")
            object.__setattr__(self, kind, waves)
            for wave in waves:
                sha.update(f"{kind} {len(wave)} ".encode())
                sha.update(wave.tobytes())
        object.__setattr__(self, "digest", sha.hexdigest())

    @classmethod
    def load(
        cls,
        noises: Sequence[str | Path] = ("noise", "esc10"),
        rooms: Sequence[str | Path] = ("rir",),
        voices: Iterable[str | Path] = (),
        *,
        root: str | Path | None = None,
        wanted: Callable[[Sound], bool] = lambda sound: True,
    ) -> Sounds:
        """Read collections of sounds.

        Parameters
        ----------
        noises, rooms : sequence of str or Path
            Collections as `edge_ser.corpora.load_sounds` takes them: names, or folders. Of rooms, files whose name
            begins with ``filter`` are left out (they are of devices), and what follows when 60 dB are lost is cut.
        voices : iterable of path
            Sound files of speech.
        root : path, optional
            Where named collections lie.
        wanted : callable, optional
            Which noises to take, so that some (a fold of esc10) can be kept for tests.

        Returns
        -------
        Sounds

        Raises
        ------
        EdgeSerError
            A collection is not there or nothing of it is wanted, or a file is damaged or silent.
        """
        return cls(
            _read(noises, root, wanted),
            tuple(
                _without_end(rir)
                for rir in _read(rooms, root, lambda s: not s.path.stem.startswith(_NO_ROOM))
            ),
            tuple(_sounding(Path(path)) for path in voices),
        )


def load_sounds_of(names: Sequence[str], corpora: Iterable[str] = ()) -> Sounds:
    """Sounds to mix speech with, as ``mix_with`` of a recipe names them.

    Parameters
    ----------
    names : sequence of str
        Collections of sounds (``esc10``, ``noise``, ``fsdd``), corpora of speech (``emodb``), or folders.
    corpora : iterable of str
        As `edge_ser.corpora.load_corpus` takes them: those that the recipe learns from. A view of a clip is made once
        for all folds, so speech of theirs would carry the speakers of a test into the training of its fold.

    Returns
    -------
    Sounds
        With `others` alone; a file that is silent is left out.

    Raises
    ------
    EdgeSerError
        A name holds a file of `corpora`, is not there, or holds nothing that sounds.
    """
    own = {clip.path.resolve() for corpus in corpora for clip in load_corpus(corpus).clips}
    waves: list[Floats] = []
    for name in names:
        if name in corpus_names():
            paths = [clip.path for clip in load_corpus(name).clips]
        else:
            paths = [sound.path for sound in load_sounds(name).sounds]
        if any(path.resolve() in own for path in paths):
            raise EdgeSerError(
                f"mix_with names {name}, which the recipe learns from: its test speakers would be heard in training; "
                "mix with other corpora or sounds"
            )
        found = [wave for wave in map(load_audio, paths) if np.any(wave)]
        if not found:
            raise EdgeSerError(f"all of {name} is silent: mix with something else")
        waves += found
    return Sounds(others=tuple(waves))


def _read(
    names: Sequence[str | Path], root: str | Path | None, wanted: Callable[[Sound], bool]
) -> tuple[Floats, ...]:
    waves: list[Floats] = []
    for name in names:
        chosen = [sound for sound in load_sounds(name, root).sounds if wanted(sound)]
        if not chosen:
            raise EdgeSerError(f"none of the sounds of {name} is wanted; ask for less, or leave it out")
        waves += [_sounding(sound.path) for sound in chosen]
    return tuple(waves)


def _sounding(path: Path) -> Floats:
    wave = load_audio(path)
    if not np.any(wave):
        raise EdgeSerError(f"{path} is silent; leave it out")
    return wave


def _without_end(rir: Floats) -> Floats:
    """An impulse response up to where the energy that is left is 60 dB below all of it."""
    left = np.cumsum(np.square(rir[::-1], dtype=np.float64))[::-1]
    return rir[: int(np.count_nonzero(left > left[0] * 10 ** (-_TAIL_DB / 10)))]
