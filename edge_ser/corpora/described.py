"""A table of recordings as somebody else made it, and a TOML file that says how to read it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from edge_ser.corpora.base import Corpus
from edge_ser.corpora.tables import load_csv
from edge_ser.errors import EdgeSerError
from edge_ser.files import expand_user, parse_toml, read_part

__all__ = ["Description", "load_described"]


@dataclasses.dataclass(frozen=True)
class Description:
    """How a table is to be read; what is left out is as of `edge_ser.corpora.load_csv`.

    Attributes
    ----------
    table : str
        The CSV file, relative to the description; one of the description's own name otherwise.
    name : str
        The corpus's; that of the description's file otherwise.
    folder : str
        What relative sound files start from; the table's folder otherwise.
    rating_scale : (float, float)
    labels : tuple of str
    licence, citation : str
        Stand on the cards of what is trained on it.
    columns, emotions : dict of str to str
    """

    table: str = ""
    name: str = ""
    folder: str = ""
    rating_scale: tuple[float, ...] = (0.0, 1.0)
    labels: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    emotions: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.rating_scale) != 2:
            raise EdgeSerError(
                f"rating_scale is the lowest and the highest rating, not {list(self.rating_scale)}"
            )
        for name in ("columns", "emotions"):
            for key, value in getattr(self, name).items():
                if not isinstance(value, str):
                    raise EdgeSerError(f"{name}: {key} must be text, not {value!r}")


def load_described(path: str | Path) -> Corpus:
    """Read a corpus by its description.

    Parameters
    ----------
    path : str or Path
        A TOML file with the fields of `Description`.

    Returns
    -------
    Corpus
        As of `edge_ser.corpora.load_csv`.

    Raises
    ------
    EdgeSerError
        No such file, not TOML, a field that there is none of or of another type, or what `load_csv` refuses.

    Examples
    --------
    ::

        # msp.toml: arousal and valence from 1 to 7, letters for emotions
        table = "labels_consensus.csv"
        folder = "Audios"
        rating_scale = [1, 7]
        columns = {file = "FileName", speaker = "SpkrID", emotion = "EmoClass", arousal = "EmoAct", valence = "EmoVal"}
        emotions = {A = "angry", H = "happy", N = "neutral", S = "sad"}
    """
    path = Path(path)
    about: Description = read_part(Description, parse_toml(path), path, "")
    folder = path.parent
    return load_csv(
        folder / expand_user(about.table) if about.table else path.with_suffix(".csv"),
        name=about.name or path.stem,
        columns=about.columns,
        rating_scale=(about.rating_scale[0], about.rating_scale[1]),
        emotions=about.emotions,
        folder=folder / expand_user(about.folder) if about.folder else None,
        labels=about.labels or None,
        licence=about.licence,
        citation=about.citation,
    )
