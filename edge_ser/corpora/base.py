"""What a corpus is here: clips with who speaks and what was said of them, and folds that keep speakers apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_ser.errors import EdgeSerError

__all__ = ["ADV", "EMOTIONS", "Clip", "Corpus", "LeftOut", "label_order"]

EMOTIONS = ("angry", "bored", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised")
"""The emotion names of the project, in their order everywhere."""

ADV = ("arousal", "dominance", "valence")
"""The dimensions, in their order everywhere."""


@dataclass(frozen=True)
class Clip:
    """One recording of one speaker.

    Attributes
    ----------
    path : Path
        The sound file, of any rate and format that `edge_ser.audio.load_audio` reads.
    corpus : str
        Name of the corpus it came with.
    speaker : str
        Who speaks, unique over all corpora (``"ravdess-01"``).
    emotion : str or None
        One of the corpus's labels; None where nobody gave one.
    arousal, dominance, valence : float or None
        Ratings scaled to 0..1.
    intensity, sex, language, sentence : str or None
        ``"normal"``/``"strong"``, ``"f"``/``"m"``, an ISO 639-1 code, the text or the sentence's number.
    fold : int or None
        The test fold it belongs to.
    duration : float or None
        Seconds, where the metadata tells.
    extra : mapping of str to str
        The other columns of the metadata, as written (EmoTale's single raters, EmoDB's listening test).
    """

    path: Path
    corpus: str
    speaker: str
    emotion: str | None = None
    arousal: float | None = None
    dominance: float | None = None
    valence: float | None = None
    intensity: str | None = None
    sex: str | None = None
    language: str | None = None
    sentence: str | None = None
    fold: int | None = None
    duration: float | None = None
    extra: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def adv(self) -> tuple[float, float, float] | None:
        """Arousal, dominance and valence in 0..1, or None unless all three are known."""
        if self.arousal is None or self.dominance is None or self.valence is None:
            return None
        return self.arousal, self.dominance, self.valence


@dataclass(frozen=True)
class LeftOut:
    """A file or row that is not among a corpus's clips, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class Corpus:
    """Clips and what is to be known of them as a whole.

    Attributes
    ----------
    name : str
        ``"ravdess"``, or the name of the user's own file.
    clips : tuple of Clip
        In a fixed order (by path for official copies, by row for tables).
    labels : tuple of str
        The emotions that it can hold, in the project's order; the index of a class everywhere.
    licence, citation : str
        For model cards and reports.
    left_out : tuple of LeftOut
        Every file or row that was seen and not taken.
    folding : str
        What its folds are, behind their number in a protocol.
    read_as : mapping of str to str
        Words of a table, and the project's for the same emotion that clips have instead.
    """

    name: str
    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    licence: str = ""
    citation: str = ""
    left_out: tuple[LeftOut, ...] = ()
    folding: str = "speaker-disjoint folds"
    read_as: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers, sorted."""
        return tuple(sorted({clip.speaker for clip in self.clips}))

    def folds(self) -> list[int]:
        """Numbers of the folds that the clips carry, sorted; empty where none were given."""
        return sorted({clip.fold for clip in self.clips if clip.fold is not None})

    def split(self, fold: int) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
        """Clips to train on and clips to test on when `fold` is held out.

        Parameters
        ----------
        fold : int
            One of `folds()`.

        Returns
        -------
        train, test : tuple of Clip
            No speaker stands in both.

        Raises
        ------
        EdgeSerError
            No such fold, nothing left to train on, or a speaker on both sides.
        """
        known = self.folds()
        if not known:
            raise EdgeSerError(
                f"{self.name} has no folds; give its table a column 'fold' with a number from 0 for each speaker, or "
                "name it with @5 or @speaker behind, which deals some out"
            )
        if fold not in known:
            raise EdgeSerError(f"{self.name} has no fold {fold}; its folds are {_listed(known)}")
        test = tuple(clip for clip in self.clips if clip.fold == fold)
        train = tuple(clip for clip in self.clips if clip.fold is not None and clip.fold != fold)
        if not train:
            raise EdgeSerError(
                f"{self.name} has only fold {fold}, so nothing is left to train on; it needs two or more"
            )
        both = {clip.speaker for clip in train} & {clip.speaker for clip in test}
        if both:
            raise EdgeSerError(
                f"in {self.name} {_listed(sorted(both))} would stand on both sides of fold {fold}; "
                "give each speaker one fold, or name it with @5 or @speaker behind"
            )
        return train, test

    def speaker_folds(self, n: int) -> Corpus:
        """The same corpus with `n` new folds that keep each speaker in one.

        Speakers are dealt out from the one with most clips to the one with least, each to the fold where clips
        and classes stay most even; the same clips give the same folds whatever their order.

        Parameters
        ----------
        n : int
            Number of folds, 2 to the number of speakers (that many is leave-one-speaker-out).

        Raises
        ------
        EdgeSerError
            Fewer than two speakers, or `n` out of range.
        """
        speakers = self.speakers
        if len(speakers) < 2:
            raise EdgeSerError(
                f"{self.name} has {len(speakers)} speaker{'' if len(speakers) == 1 else 's'}; "
                "speaker-independent folds need at least two"
            )
        if not 2 <= n <= len(speakers):
            raise EdgeSerError(
                f"{self.name} has {len(speakers)} speakers: ask for 2 to {len(speakers)} folds, not {n}"
            )
        counts: dict[str, Counter[str | None]] = defaultdict(Counter)
        for clip in self.clips:
            counts[clip.speaker][clip.emotion] += 1
        classes = Counter(clip.emotion for clip in self.clips)
        total = len(self.clips)
        loads: list[Counter[str | None]] = [Counter() for _ in range(n)]
        fold_of: dict[str, int] = {}
        for speaker in sorted(speakers, key=lambda s: (-counts[s].total(), s)):
            mine = counts[speaker]

            # the growth of the sum of squares: least where the fold is emptiest in what this speaker brings
            def growth(fold: int, mine: Counter[str | None] = mine) -> float:
                load = loads[fold]
                size = load.total() * mine.total() / total**2
                return size + sum(load[c] * k / classes[c] ** 2 for c, k in mine.items()) / len(classes)

            best = min(range(n), key=lambda fold: (growth(fold), fold))
            loads[best] += mine
            fold_of[speaker] = best
        return replace(self, clips=tuple(replace(clip, fold=fold_of[clip.speaker]) for clip in self.clips))

    def folded(self, by: str) -> Corpus:
        """The same corpus with other folds.

        Parameters
        ----------
        by : str
            ``speaker`` or ``language``: one fold for each; or a number of folds, see `speaker_folds`.

        Raises
        ------
        EdgeSerError
            Another word, too few speakers or languages, or a clip that names no language.
        """
        if by == "speaker":
            return replace(self.speaker_folds(len(self.speakers)), folding="folds of one speaker each")
        if by == "language":
            names = sorted({clip.language or "" for clip in self.clips})
            if "" in names or len(names) < 2:
                raise EdgeSerError(
                    f"{self.name} has {'clips without a language' if '' in names else 'one language only'}; folds of "
                    "languages need two at least, and each clip's in the column language"
                )
            clips = tuple(replace(clip, fold=names.index(clip.language or "")) for clip in self.clips)
            return replace(self, clips=clips, folding=f"folds of one language each ({', '.join(names)})")
        if not by.isdecimal():
            raise EdgeSerError(f"folds are by speaker, by language, or a number of them, not {by!r}")
        return replace(self.speaker_folds(int(by)), folding="folds of whole speakers, dealt out anew")

    def keep(self, wanted: Callable[[Clip], bool]) -> Corpus:
        """The same corpus with only the clips for which `wanted` holds; `left_out` stays as it was."""
        return replace(self, clips=tuple(clip for clip in self.clips if wanted(clip)))

    def restrict(self, labels: Iterable[str]) -> Corpus:
        """Only the clips of these emotions, `labels` in the project's order; for comparisons over corpora.

        Raises
        ------
        EdgeSerError
            None of the labels is one of this corpus.
        """
        wanted = set(labels)
        kept = tuple(label for label in self.labels if label in wanted)
        if not kept:
            raise EdgeSerError(
                f"{self.name} has none of {_listed(sorted(wanted))}; it has {_listed(self.labels)}"
            )
        return replace(self.keep(lambda clip: clip.emotion in wanted), labels=kept)

    def describe(self) -> str:
        """One paragraph for people: what there is, and what was left out and why."""
        counts = Counter(clip.emotion or "no emotion" for clip in self.clips)
        parts = [
            f"{self.name}: {len(self.clips)} clips of {len(self.speakers)} speakers"
            + (f" in {len(self.folds())} folds" if self.folds() else ", no folds"),
            ", ".join(f"{name} {counts[name]}" for name in (*self.labels, "no emotion") if counts[name]),
        ]
        if self.read_as:
            parts.append(", ".join(f"{word} read as {ours}" for word, ours in self.read_as.items()))
        if self.left_out:
            reasons = Counter(one.reason for one in self.left_out)
            parts.append(
                "left out: " + ", ".join(f"{count} ({reason})" for reason, count in sorted(reasons.items()))
            )
        return "; ".join(part for part in parts if part)


def label_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Distinct labels in the project's order: first the ones of `EMOTIONS`, then others by name."""
    distinct = set(labels)
    return (*(e for e in EMOTIONS if e in distinct), *sorted(distinct - set(EMOTIONS)))


def _listed(things: Iterable[object], most: int = 8) -> str:
    names = [str(thing) for thing in things]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
