"""Sounds that are not emotional speech: noises to mix in, rooms to put speech in, digits, what must be rejected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_ser.corpora.base import LeftOut
from edge_ser.corpora.official import SOUND_SUFFIXES, sound_files
from edge_ser.corpora.roots import data_root, find_folder
from edge_ser.corpora.tables import number, read_rows
from edge_ser.errors import EdgeSerError
from edge_ser.files import expand_user

__all__ = ["Sound", "SoundCollection", "load_classes", "load_sounds", "sound_names"]

TABLE = "metadata.csv"


@dataclass(frozen=True)
class Sound:
    """One sound: its file, and its class, fold, speaker, seconds and source where it has them.

    The source is the longer recording that it was cut from: clips of one source are not independent.
    """

    path: Path
    label: str | None = None
    fold: int | None = None
    speaker: str | None = None
    duration: float | None = None
    source: str | None = None


@dataclass(frozen=True)
class SoundCollection:
    """Sounds in a fixed order, their classes sorted, and what was seen and not taken."""

    name: str
    sounds: tuple[Sound, ...]
    labels: tuple[str, ...]
    licence: str
    citation: str
    left_out: tuple[LeftOut, ...] = ()

    def __len__(self) -> int:
        return len(self.sounds)


@dataclass(frozen=True)
class _Facts:
    """A collection: the column of its class in our table, and the reader of an official file name."""

    name: str
    label: str | None
    read: Callable[[Path], Sound | None]
    licence: str
    citation: str
    where: str
    layout: str


# in the order of the numbers at the end of a file's name
# fmt: off
_ESC50 = (
    "dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow", "rain", "sea waves",
    "crackling fire", "crickets", "chirping birds", "water drops", "wind", "pouring water", "toilet flush",
    "thunderstorm", "crying baby", "sneezing", "clapping", "breathing", "coughing", "footsteps", "laughing",
    "brushing teeth", "snoring", "drinking sipping", "door wood knock", "mouse click", "keyboard typing",
    "door wood creaks", "can opening", "washing machine", "vacuum cleaner", "clock alarm", "clock tick",
    "glass breaking", "helicopter", "chainsaw", "siren", "car horn", "engine", "train", "church bells",
    "airplane", "fireworks", "hand saw",
)
_URBAN = (
    "air conditioner", "car horn", "children playing", "dog bark", "drilling", "engine idling", "gun shot",
    "jackhammer", "siren", "street music",
)
# fmt: on

# the ten of ESC-50's classes that are ESC-10, and the folders of the first release of ESC-10
_ESC10: Mapping[str, str] = {
    "0": "dog bark",
    "1": "rooster",
    "10": "rain",
    "11": "sea waves",
    "12": "fire crackling",
    "20": "baby cry",
    "21": "person sneeze",
    "38": "clock tick",
    "40": "helicopter",
    "41": "chainsaw",
}


# "1-100032-A-0.wav": fold, number of the recording at freesound.org, take, class
_ESC_NAME = re.compile(r"([1-5])-(\d+)-[a-z](?:-(\d+))?")


def _esc10(path: Path) -> Sound | None:
    match = _ESC_NAME.fullmatch(path.stem.lower())
    if match is None:
        return None
    # the first release has no number of the class, but folders: "001 - Dog bark/1-100032-A.ogg"
    label = _ESC10.get(match[3]) if match[3] else path.parent.name.partition(" - ")[2].lower()
    return Sound(path, label, int(match[1]), source=match[2]) if label in _ESC10.values() else None


def _esc50(path: Path) -> Sound | None:
    match = _ESC_NAME.fullmatch(path.stem.lower())
    if match is None or match[3] is None or int(match[3]) >= len(_ESC50):
        return None
    return Sound(path, _ESC50[int(match[3])], int(match[1]), source=match[2])


def _urbansound8k(path: Path) -> Sound | None:
    # "fold5/100032-3-0-0.wav": number of the recording at freesound.org, class, occurrence, slice
    match = re.fullmatch(r"(\d+)-(\d)-\d+-\d+", path.stem)
    fold = re.fullmatch(r"fold(\d+)", path.parent.name.lower())
    if match is None or fold is None:
        return None
    return Sound(path, _URBAN[int(match[2])], int(fold[1]), source=match[1])


def _fsdd(path: Path) -> Sound | None:
    match = re.fullmatch(r"(\d)_([a-z]+)_\d+", path.stem.lower())
    return Sound(path, match[1], speaker=f"fsdd-{match[2]}") if match else None


SOUNDS: Mapping[str, _Facts] = {
    facts.name: facts
    for facts in (
        _Facts(
            "esc10",
            "label",
            _esc10,
            "CC BY 3.0",
            "Piczak 2015, ESC: Dataset for Environmental Sound Classification, ACM Multimedia",
            "github.com/karolpiczak/ESC-50",
            "esc10/audio/1-100032-A-0.wav",
        ),
        _Facts(
            "esc50",
            "label",
            _esc50,
            "CC BY-NC 3.0",
            "Piczak 2015, ESC: Dataset for Environmental Sound Classification, ACM Multimedia",
            "github.com/karolpiczak/ESC-50",
            "esc50/audio/1-100032-A-0.wav",
        ),
        _Facts(
            "urbansound8k",
            "label",
            _urbansound8k,
            "CC BY-NC 3.0",
            "Salamon, Jacoby and Bello 2014, A Dataset and Taxonomy for Urban Sound Research, ACM Multimedia",
            "urbansounddataset.weebly.com",
            "urbansound8k/audio/fold1/101415-3-0-2.wav",
        ),
        _Facts(
            "fsdd",
            "digit",
            _fsdd,
            "CC BY-SA 4.0",
            "Jackson et al., Free Spoken Digit Dataset",
            "github.com/Jakobovski/free-spoken-digit-dataset",
            "fsdd/recordings/0_george_0.wav",
        ),
        _Facts(
            "noise",
            None,
            Sound,
            "research only",
            "Hu and Wang, 100 Nonspeech Sounds, Ohio State University",
            "web.cse.ohio-state.edu/pnl/corpus/HuNonspeech/HuCorpus.html",
            "noise/n1.wav",
        ),
        _Facts(
            "rir",
            None,
            Sound,
            "Apache-2.0",
            "impulse responses of rooms, a telephone and a low-pass filter",
            "any collection of impulse responses",
            "rir/kitchen.wav",
        ),
    )
}


def sound_names() -> list[str]:
    """Names that `load_sounds` knows."""
    return list(SOUNDS)


def load_sounds(name: str | Path, root: str | Path | None = None) -> SoundCollection:
    """Load a collection of sounds by name, or any folder of sound files.

    Parameters
    ----------
    name : str or Path
        One of `sound_names()`, or a folder whose sound files are all taken, without classes.
    root : str or Path, optional
        Where a named collection lies: the folder that holds one folder per collection, or the collection's own.
        `data_root()` otherwise.

    Returns
    -------
    SoundCollection
        Sorted by path. Files whose name is none of the collection stand in `left_out`.

    Raises
    ------
    EdgeSerError
        Unknown name, or no sounds there; the sentence says where to get it and how to lay it out.
    """
    if isinstance(name, str) and name in SOUNDS:
        facts = SOUNDS[name]
        base = data_root() if root is None else expand_user(root)
        folder = find_folder(base, name) or (base if root is not None else None)
        if folder is None or not folder.is_dir():
            raise EdgeSerError(
                f"the sounds {name} are not in {base}; get them from {facts.where} and lay them out as {facts.layout}"
            )
    else:
        folder = expand_user(name)
        if not folder.is_dir():
            raise EdgeSerError(
                f"{str(name)!r} is neither a collection of sounds ({', '.join(SOUNDS)}) nor a folder"
            )
        facts = _Facts(folder.name, None, Sound, "", "", "", "")
    if facts.label is not None and (folder / TABLE).is_file() and (folder / "audio").is_dir():
        sounds, left_out = _ours(facts, folder)
    else:
        found = [(path, facts.read(path)) for path in sound_files(folder)]
        sounds = [sound for _, sound in found if sound is not None]
        left_out = [
            LeftOut(path.relative_to(folder).as_posix(), f"no file name of {facts.name}")
            for path, sound in found
            if sound is None
        ]
    if not sounds:
        get = f"; get them from {facts.where} and lay them out as {facts.layout}" if facts.where else ""
        raise EdgeSerError(
            f"{folder} holds no sounds{f' of {facts.name}' if facts.layout else ''} ({' '.join(SOUND_SUFFIXES)}){get}"
        )
    labels = sorted({sound.label for sound in sounds if sound.label is not None})
    return SoundCollection(
        facts.name, tuple(sounds), tuple(labels), facts.licence, facts.citation, tuple(left_out)
    )


def load_classes(folder: str | Path) -> SoundCollection:
    """A folder with a folder for each class: ``rock/one.wav``, ``rock/live/two.wav``, ``jazz/three.wav``.

    Parameters
    ----------
    folder : path

    Returns
    -------
    SoundCollection
        Classes in alphabetical order, sounds by path. What lies beside the folders, and a folder without a sound,
        stand in ``left_out``.

    Raises
    ------
    EdgeSerError
        No such folder, or no sound in a folder of it.
    """
    root = expand_user(folder)
    if not root.is_dir():
        raise EdgeSerError(
            f"there is no folder {root}; it should hold one folder of sound files for each class"
        )
    sounds: list[Sound] = []
    left_out = []
    for one in sorted(root.iterdir()):
        if one.is_dir() and not one.name.startswith(".") and one.name != "__MACOSX":
            found = [Sound(path, one.name) for path in sound_files(one)]
            sounds += found
            if not found:
                left_out.append(LeftOut(one.name, "a folder without sound files"))
        elif one.suffix.lower() in SOUND_SUFFIXES:
            left_out.append(LeftOut(one.name, "in no class's folder"))
    if not sounds:
        raise EdgeSerError(
            f"{root} has no folder with sound files ({' '.join(SOUND_SUFFIXES)}); "
            f"lay them out as {root.name}/CLASS/one.wav"
        )
    labels = sorted({sound.label for sound in sounds if sound.label is not None})
    return SoundCollection(root.name, tuple(sounds), tuple(labels), "", "", tuple(left_out))


def _ours(facts: _Facts, folder: Path) -> tuple[list[Sound], list[LeftOut]]:
    table = folder / TABLE
    header, rows = read_rows(table)
    if missing := sorted({"file", str(facts.label)} - set(header)):
        raise EdgeSerError(f"{table} lacks the columns {', '.join(missing)}; it has {', '.join(header)}")
    sounds = []
    for line, row in rows:
        path = folder / "audio" / row["file"]
        if not path.is_file():
            raise EdgeSerError(f"{table}, line {line}: there is no file {path}")
        where = f"{table}, line {line}"
        sounds.append(
            Sound(
                path,
                row[str(facts.label)] or None,
                int(number(row["fold"], f"{where}: fold")) if row.get("fold") else None,
                row.get("speaker") or None,
                number(row["duration"], f"{where}: duration") if row.get("duration") else None,
                # ours keep the official names
                match[2] if (match := _ESC_NAME.fullmatch(path.stem.lower())) else None,
            )
        )
    return sounds, []
