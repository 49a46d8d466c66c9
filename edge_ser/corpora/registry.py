"""One door to every corpus: a name, a folder or a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_ser.corpora.base import Corpus
from edge_ser.corpora.described import load_described
from edge_ser.corpora.facts import CORPORA, Facts
from edge_ser.corpora.official import SOUND_SUFFIXES, load_official, sound_files
from edge_ser.corpora.roots import data_root, find_folder
from edge_ser.corpora.tables import load_csv
from edge_ser.errors import EdgeSerError
from edge_ser.files import expand_user

__all__ = ["corpus_names", "corpus_of", "load_corpus", "names_of"]

TABLE = "metadata.csv"
TABLES = (".csv", ".toml")


def corpus_names() -> list[str]:
    """Names that `load_corpus` knows, in the order of the documentation."""
    return list(CORPORA)


def load_corpus(name: str | Path, root: str | Path | None = None) -> Corpus:
    """Load a corpus by name, or a user's own folder or CSV table.

    Parameters
    ----------
    name : str or Path
        One of `corpus_names()`, a CSV file (see `load_csv`), a TOML file that says how to read one (see
        `load_described`), or a folder: a published corpus under its official names, or sound files with a
        ``metadata.csv``. With ``@speaker``, ``@language`` or ``@5`` behind it, it has folds of that kind instead of its
        own, see `Corpus.folded`.
    root : str or Path, optional
        Where a named corpus lies: the folder that holds one folder per corpus, or the corpus's own folder.
        `data_root()` otherwise.

    Returns
    -------
    Corpus
        With folds where the corpus has them; `left_out` lists what was seen and not taken.

    Raises
    ------
    EdgeSerError
        Unknown name, or nothing there that can be read as that corpus; the sentence says where to get it and
        how to lay it out.

    Examples
    --------
    >>> corpus = load_corpus("ravdess")                         # doctest: +SKIP
    >>> train, test = corpus.split(0)                           # doctest: +SKIP
    >>> mine = load_corpus("recordings/table.csv@speaker")      # doctest: +SKIP
    """
    if isinstance(name, str) and name in CORPORA:
        return _named(CORPORA[name], None if root is None else expand_user(root))
    path = expand_user(name)
    if path.is_file():
        return load_described(path) if path.suffix.lower() == ".toml" else load_csv(path)
    if path.is_dir():
        return _folder(path)
    plain, at, by = str(name).rpartition("@")
    if at and plain:
        return load_corpus(plain, root).folded(by)
    raise EdgeSerError(
        f"{str(name)!r} is neither a corpus ({', '.join(CORPORA)}) nor a folder nor a CSV table that is there, nor a "
        "TOML file that describes one"
    )


def _named(facts: Facts, root: Path | None) -> Corpus:
    base = data_root() if root is None else root
    folder = find_folder(base, facts.name)
    if folder is None and root is not None and root.is_dir():
        folder = root
    if folder is None:
        raise EdgeSerError(
            f"the corpus {facts.name} is not in {base}; get it from {facts.where} and lay it out as {facts.layout}"
        )
    if (folder / TABLE).is_file() and (folder / "audio").is_dir():
        return _ours(facts, folder)
    return load_official(facts, folder)


def _ours(facts: Facts, folder: Path) -> Corpus:
    """Our own layout: ``audio/`` and ``metadata.csv``."""
    return load_csv(
        folder / TABLE,
        name=facts.name,
        folder=folder / "audio",
        rating_scale=facts.rating_scale or (0.0, 1.0),
        labels=facts.labels,
        licence=facts.licence,
        citation=facts.citation,
    )


def _folder(folder: Path) -> Corpus:
    named = CORPORA.get(folder.resolve().name.lower())
    table = folder / TABLE
    if table.is_file():
        if named is not None and (folder / "audio").is_dir():
            return _ours(named, folder)
        return load_csv(
            table,
            name=folder.resolve().name,
            folder=folder / "audio" if (folder / "audio").is_dir() else folder,
        )
    files = sound_files(folder)
    if not files:
        raise EdgeSerError(f"{folder} holds no sound files ({' '.join(SOUND_SUFFIXES)}) and no {TABLE}")
    facts = corpus_of(files)
    if facts is None:
        raise EdgeSerError(
            f"the names of the {len(files)} sound files in {folder} are none of a known corpus ({', '.join(CORPORA)}); "
            f"list them in a table {TABLE} with the columns file, speaker, emotion"
        )
    return load_official(facts, folder)


def names_of(corpus: Corpus) -> set[str]:
    """What a corpus may be known as: its own name, those it was pooled from, and a published one's whose files it has.

    A user's table of a published corpus has a name of its own; most of its files bear the official names, with the
    emotions that these say, or nothing is known of it.
    """
    names = {corpus.name, *corpus.name.split("+")}
    published = corpus_of([clip.path for clip in corpus.clips])
    if published is not None:
        matches = [(clip, published.matches(clip.path)) for clip in corpus.clips]
        agreed = sum(
            m is not None and published.emotions[m["emotion"]] == clip.emotion for clip, m in matches
        )
        names |= {published.name} if 2 * agreed >= len(corpus) else set()
    return names


def corpus_of(files: Sequence[Path]) -> Facts | None:
    """The corpus whose official names most of the files bear; half of them at least, or it is none of ours."""
    fits = {facts.name: sum(facts.matches(file) is not None for file in files) for facts in CORPORA.values()}
    best = max(fits, key=lambda name: fits[name])
    return CORPORA[best] if 2 * fits[best] >= len(files) else None
