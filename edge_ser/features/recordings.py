"""Which recordings are meant by a corpus's name, a folder, a table or files, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from edge_ser.corpora import Clip, LeftOut, Sound, corpus_names, load_corpus, load_sounds, sound_names
from edge_ser.corpora.official import SOUND_SUFFIXES, sound_files
from edge_ser.corpora.registry import TABLE, TABLES, corpus_of
from edge_ser.errors import EdgeSerError
from edge_ser.files import expand_user

__all__ = ["Recording", "find_recordings"]


@dataclass(frozen=True)
class Recording:
    """A sound file and what its corpus says of it, by column of a table."""

    path: Path
    known: Mapping[str, Any] = field(default_factory=dict)


# Not its duration: the header's may differ from what is heard, which the features of the whole tell.
_CLIP = tuple(f.name for f in fields(Clip) if f.name not in ("path", "duration", "extra"))


def find_recordings(sources: Sequence[str | Path]) -> tuple[list[Recording], list[LeftOut]]:
    """Recordings of corpora, folders, tables and files, in the order given.

    Parameters
    ----------
    sources : sequence of str or Path
        A name of `edge_ser.corpora.corpus_names` or `sound_names`; a folder: a corpus under its official file names,
        sound files with a ``metadata.csv``, or any sound files; a CSV table, or a TOML file that describes one; a
        sound file.

    Returns
    -------
    recordings : list of Recording
        A sound file that is not there is among them: it is reported when its turn comes, as one that is damaged.
    left_out : list of LeftOut
        What corpora hold and do not count as theirs.

    Raises
    ------
    EdgeSerError
        No source, an empty folder, or a word that is neither of these.
    """
    if not sources:
        raise EdgeSerError("name a corpus, a folder or sound files")
    recordings: list[Recording] = []
    left_out: list[LeftOut] = []
    for source in sources:
        found, rest = _of(source)
        recordings += found
        left_out += rest
    return recordings, left_out


def _of(source: str | Path) -> tuple[list[Recording], Sequence[LeftOut]]:
    if isinstance(source, str) and source in sound_names():
        sounds = load_sounds(source)
        return [_sound(sounds.name, sound) for sound in sounds.sounds], sounds.left_out
    path = expand_user(source)
    named = isinstance(source, str) and source in corpus_names()
    if not named and path.is_dir() and not (path / TABLE).is_file():
        files = sound_files(path)
        if not files:
            raise EdgeSerError(f"{path} holds no sound files ({' '.join(SOUND_SUFFIXES)})")
        if corpus_of(files) is None:
            return [Recording(file) for file in files], ()
    if named or path.is_dir() or (path.suffix.lower() in TABLES and path.is_file()):
        corpus = load_corpus(source)
        return [Recording(clip.path, _columns(clip)) for clip in corpus.clips], corpus.left_out
    if path.is_file() or path.suffix.lower() in SOUND_SUFFIXES:
        return [Recording(path)], ()
    raise EdgeSerError(
        f"{str(source)!r} is neither a file or folder that is there nor a corpus "
        f"({', '.join((*corpus_names(), *sound_names()))})"
    )


def _columns(clip: Clip) -> dict[str, Any]:
    return {name: value for name in _CLIP if (value := getattr(clip, name)) is not None}


def _sound(corpus: str, sound: Sound) -> Recording:
    told = {"label": sound.label, "speaker": sound.speaker, "fold": sound.fold}
    return Recording(sound.path, {"corpus": corpus} | {k: v for k, v in told.items() if v is not None})
