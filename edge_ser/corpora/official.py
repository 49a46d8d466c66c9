"""A user's own copy of a published corpus, read from its official file names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_ser.corpora.base import Clip, Corpus, LeftOut
from edge_ser.corpora.facts import Annotations, Facts
from edge_ser.corpora.tables import number, read_rows, scaled
from edge_ser.errors import EdgeSerError

__all__ = ["SOUND_SUFFIXES", "load_official", "sound_files"]

SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus")


def sound_files(folder: Path) -> list[Path]:
    """Sound files anywhere under `folder`, sorted; what an unpacker leaves behind (``._a.wav``) is none."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SOUND_SUFFIXES
        and not path.name.startswith("._")
        and "__MACOSX" not in path.parts
        and path.is_file()
    )


def load_official(facts: Facts, folder: Path) -> Corpus:
    """Read a corpus from the names of the files under `folder`, at whatever depth they lie.

    Parameters
    ----------
    facts : Facts
        Which corpus.
    folder : Path
        The user's copy.

    Returns
    -------
    Corpus
        Clips sorted by file name; files with other names, second copies and the release's known duplicates stand in
        `left_out`. What names do not tell (EmoTale's ratings, nEMO's sentences) comes from the release's own
        table where that lies in `folder` or above it, and is None otherwise.

    Raises
    ------
    EdgeSerError
        No file has a name of this corpus, or the release's table is damaged.
    """
    clips: dict[str, Clip] = {}
    left_out: list[LeftOut] = []
    for path in sound_files(folder):
        clip, reason = read_name(facts, path)
        key = path.stem.lower()
        if clip is not None and key in clips:
            clip, reason = None, "second copy of the same recording"
        if clip is None:
            left_out.append(LeftOut(path.relative_to(folder).as_posix(), reason))
        else:
            clips[key] = clip
    if not clips:
        raise EdgeSerError(
            f"{folder} holds no recordings of {facts.name}; get it from {facts.where} and lay it out as {facts.layout}"
        )
    if facts.annotations is not None:
        _annotate(clips, facts, facts.annotations, folder)
    return Corpus(
        facts.name,
        tuple(clips[key] for key in sorted(clips)),
        facts.labels,
        facts.licence,
        facts.citation,
        tuple(left_out),
    )


def read_name(facts: Facts, path: Path) -> tuple[Clip | None, str]:
    """What an official file name says, or None and why it is no clip."""
    match = facts.matches(path)
    if match is None:
        return None, f"no file name of {facts.name}"
    codes = match.groupdict()
    for group, reasons in facts.excluded.items():
        if codes[group] in reasons:
            return None, reasons[codes[group]]
    stem = path.stem.lower()
    if stem in facts.duplicates:
        return None, f"duplicate of {facts.duplicates[stem]}"
    speaker, sentence, language = codes["speaker"], codes.get("sentence"), codes.get("language") or ""
    if speaker not in facts.folds:
        return None, f"no speaker of {facts.name}"
    return (
        Clip(
            path=path,
            corpus=facts.name,
            speaker=f"{facts.name}-{speaker.upper()}",
            emotion=facts.emotions[codes["emotion"]],
            intensity=facts.intensities.get(codes.get("intensity") or ""),
            sex=facts.sexes.get(speaker),
            language=facts.languages[language],
            sentence=facts.sentences.get(f"{language}{sentence}", sentence),
            fold=facts.folds[speaker],
        ),
        "",
    )


def _annotate(clips: dict[str, Clip], facts: Facts, annotations: Annotations, folder: Path) -> None:
    """Fill in what the release's own table says, for the recordings that it names."""
    table = next(
        (
            path
            for path in (*sorted(folder.rglob(annotations.file)), folder.parent / annotations.file)
            if path.is_file()
        ),
        None,
    )
    if table is None:
        return
    header, rows = read_rows(table)
    columns = [annotations.key, *(column for group in annotations.ratings.values() for column in group)]
    if annotations.sentence:
        columns.append(annotations.sentence)
    if missing := sorted(set(columns) - set(header)):
        raise EdgeSerError(
            f"{table} lacks the columns {', '.join(missing)} of {facts.name}; get a fresh copy of it"
        )
    for line, row in rows:
        key = Path(row[annotations.key]).stem.lower()
        if key not in clips:
            continue
        told: dict[str, float | str] = {}
        for dimension, raters in annotations.ratings.items():
            values = [number(row[rater], f"{table}, line {line}: {rater}") for rater in raters]
            mean = sum(values) / len(values)
            told[dimension] = scaled(
                mean, facts.rating_scale or (0.0, 1.0), f"{table}, line {line}: {dimension}"
            )
        if annotations.sentence and row[annotations.sentence]:
            told["sentence"] = row[annotations.sentence]
        extra = {name: cell for name, cell in row.items() if name != annotations.key and cell}
        clips[key] = replace(clips[key], extra=extra, **told)  # type: ignore[arg-type]
