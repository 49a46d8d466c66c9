"""What is known of each published corpus: its file names, classes, folds, licence, and where it is to be had.

One entry a corpus and no code, as the corpora are alike in all but this. A pattern is matched against a file's
stem in lower case; its groups `speaker`, `emotion`, `intensity`, `sentence` and `language` are codes that the
entry's tables turn into the project's words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_ser.corpora.base import label_order

__all__ = ["CORPORA", "Annotations", "Facts"]


@dataclass(frozen=True)
class Annotations:
    """A table that a release brings for what its file names do not tell.

    Attributes
    ----------
    file : str
        Its name, beside the recordings or in a folder above them.
    key : str
        The column with a recording's file name.
    ratings : mapping of str to tuple of str
        Dimension to the columns of its raters, whose mean is taken.
    sentence : str or None
        The column with the words.
    """

    file: str
    key: str
    ratings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sentence: str | None = None


@dataclass(frozen=True)
class Facts:
    """A published corpus.

    Attributes
    ----------
    name, title : str
        Ours and its own.
    pattern : str
        Regular expression of the official stems, lower case.
    emotions, sentences, intensities, languages : mapping
        Code in the stem to the project's word. A stem with an emotion code that is not here is not of this corpus.
    sexes : mapping
        Speaker code to ``"f"`` or ``"m"``.
    folds : mapping
        Speaker code to test fold: the published ones where there are, else ours.
    rating_scale : (float, float) or None
        Lowest and highest rating, where it has ratings.
    annotations : Annotations or None
        The release's own table, read where it lies with a user's copy.
    excluded : mapping
        Group of the pattern to {code: reason}: recordings of the release that are no part of the corpus here.
    duplicates : mapping
        Official stem that repeats another recording to that recording.
    where, layout : str
        Where to get it, and what a user's copy looks like; both end up in error messages.
    """

    name: str
    title: str
    pattern: str
    emotions: Mapping[str, str]
    licence: str
    citation: str
    where: str
    layout: str
    languages: Mapping[str, str]
    sexes: Mapping[str, str]
    folds: Mapping[str, int]
    intensities: Mapping[str, str] = field(default_factory=dict)
    sentences: Mapping[str, str] = field(default_factory=dict)
    rating_scale: tuple[float, float] | None = None
    annotations: Annotations | None = None
    excluded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    duplicates: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """Its emotions in the project's order."""
        return label_order(self.emotions.values())

    def matches(self, path: Path) -> re.Match[str] | None:
        """The match of a file's official name, or None where it is no file of this corpus."""
        match = re.fullmatch(self.pattern, path.stem.lower())
        return match if match is not None and match["emotion"] in self.emotions else None


def _by_fold(*folds: str) -> dict[str, int]:
    """Speaker code to fold, from one string of codes a fold."""
    return {speaker: number for number, fold in enumerate(folds) for speaker in fold.split()}


def _sexes(female: str, male: str) -> dict[str, str]:
    return {**dict.fromkeys(female.split(), "f"), **dict.fromkeys(male.split(), "m")}


_RAVDESS = Facts(
    name="ravdess",
    title="Ryerson Audio-Visual Database of Emotional Speech and Song (speech)",
    pattern=r"03-(?P<channel>\d\d)-(?P<emotion>\d\d)-(?P<intensity>\d\d)-(?P<sentence>\d\d)-\d\d-(?P<speaker>\d\d)",
    emotions={
        "01": "neutral",
        "02": "calm",
        "03": "happy",
        "04": "sad",
        "05": "angry",
        "06": "fearful",
        "07": "disgust",
        "08": "surprised",
    },
    intensities={"01": "normal", "02": "strong"},
    sentences={"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"},
    languages={"": "en"},
    sexes={f"{actor:02d}": "m" if actor % 2 else "f" for actor in range(1, 25)},
    folds=_by_fold("02 05 14 15 16", "03 06 07 13 18", "10 11 12 19 20", "08 17 21 23 24", "01 04 09 22"),
    excluded={"channel": {"02": "song"}},
    duplicates={"03-01-03-01-02-02-07": "03-01-03-01-02-01-07"},
    licence="CC BY-NC-SA 4.0",
    citation="Livingstone and Russo 2018, The Ryerson Audio-Visual Database of Emotional Speech and Song, "
    "PLoS ONE 13(5): e0196391",
    where="Zenodo record 1188976, Audio_Speech_Actors_01-24.zip",
    layout="ravdess/Actor_01/03-01-05-01-02-01-12.wav",
)

_EMODB = Facts(
    name="emodb",
    title="Berlin Database of Emotional Speech",
    pattern=r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[wleaftn])[a-z]",
    emotions={
        "w": "angry",
        "l": "bored",
        "e": "disgust",
        "a": "fearful",
        "f": "happy",
        "t": "sad",
        "n": "neutral",
    },
    languages={"": "de"},
    sexes=_sexes("08 09 13 14 16", "03 10 11 12 15"),
    folds=_by_fold("03", "08", "09", "10", "11", "12", "13", "14", "15", "16"),
    licence="free, to be cited",
    citation="Burkhardt et al. 2005, A Database of German Emotional Speech, Interspeech",
    where="emodb.bilderbar.info",
    layout="emodb/wav/03a01Fa.wav",
)

_EMOTALE = Facts(
    name="emotale",
    title="EmoTale",
    pattern=r"(?P<language>dk|en)_(?P<speaker>\d{3})_(?P<emotion>[abhns])_(?P<sentence>\d)",
    emotions={"a": "angry", "b": "bored", "h": "happy", "n": "neutral", "s": "sad"},
    languages={"dk": "da", "en": "en"},
    sentences={
        "dk1": "Dugen ligger på køleskabet.",
        "dk2": "Det sorte ark papir er placeret deroppe ved siden af tømmerstykket.",
        "dk3": "De bar det bare ovenpå og nu skal de ned igen.",
        "dk4": "Det vil være på det sted, hvor vi altid opbevarer det.",
        "dk5": "Om syv timer er det morgen.",
        "en1": "The tablecloth is lying on the frigde.",  # as published
        "en2": "The black sheet of paper is located up there besides the piece of timber.",
        "en3": "They just carried it upstairs and now they are going down again.",
        "en4": "It will be in the place where we always store it.",
        "en5": "In seven hours it will be morning.",
    },
    sexes=_sexes("001 003 007 008 009 010 011 012 013 014 016 017", "004 005 006 015 018 019"),
    folds=_by_fold("001 010 017 018", "003 011 014 015 019", "004 007 012", "005 008 013", "006 009 016"),
    rating_scale=(1.0, 5.0),
    annotations=Annotations(
        file="annotations.csv",
        key="file",
        ratings={
            "arousal": ("a1_A", "a2_A", "a3_A"),
            "dominance": ("a1_D", "a2_D", "a3_D"),
            "valence": ("a1_V", "a2_V", "a3_V"),
        },
    ),
    licence="to be cited, no redistribution licence",
    citation="Hjuler et al. 2025, EmoTale: An Enacted Speech-emotion Dataset in Danish, arXiv 2508.14548",
    where="github.com/snehadas/EmoTale",
    layout="emotale/wav/DK_001_A_1.wav with emotale/annotations.csv",
)

_AESDD = Facts(
    name="aesdd",
    title="Acted Emotional Speech Dynamic Database",
    # "a01 (1)", "d03 (01)", "a06 (5)b" and "a06 (5b)", and the same with brackets and spaces replaced
    pattern=r"(?P<emotion>[adfhs])(?P<sentence>\d\d)[ _]*\(?0?(?P<speaker>[1-6]) *[ab]?\)? *[ab]?",
    emotions={"a": "angry", "d": "disgust", "f": "fearful", "h": "happy", "s": "sad"},
    languages={"": "el"},
    sexes=_sexes("1 2 5", "3 4 6"),  # estimated from the fundamental frequency; the release does not tell
    folds=_by_fold("1", "2", "3", "4", "5", "6"),
    licence="publicly available, terms unclear",
    citation="Vryzas et al. 2018, Speech Emotion Recognition for Performance Interaction, JAES 66(6)",
    where="m3c.web.auth.gr/research/aesdd-speech-emotion-recognition",
    layout="aesdd/anger/a01 (1).wav",
)

_NEMO = Facts(
    name="nemo",
    title="nEMO",
    pattern=r"(?P<speaker>[a-z]{2}\d)_(?P<emotion>[a-z]+)_(?P<sentence>\d+)",
    emotions={
        "anger": "angry",
        "fear": "fearful",
        "happiness": "happy",
        "neutral": "neutral",
        "sadness": "sad",
        "surprised": "surprised",
    },
    languages={"": "pl"},
    sexes=_sexes("eb0 ic0 kd0 mk0", "ks0 mp0 sm0 tp0 wr0"),
    folds=_by_fold("eb0", "ic0", "kd0", "ks0", "mk0", "mp0", "sm0", "tp0", "wr0"),
    annotations=Annotations(file="data.tsv", key="file_id", sentence="raw_text"),
    licence="CC BY-NC-SA 4.0",
    citation="Christop 2024, nEMO: Dataset of Emotional Speech in Polish, LREC-COLING",
    where="huggingface.co/datasets/amu-cai/nEMO or github.com/amu-cai/nEMO",
    layout="nemo/samples/EB0_anger_1.wav",
)

_URDU_FOLDS = _by_fold(
    "m5 f2",
    "f10 f3 f4 f7 m18 m26 m4 m6",
    "f6 m19 m23 m25 m27 m3",
    "f11 f8 f9 m1 m20 m24",
    "f1 f5 m17 m2 m21 m22 m7",
)

_URDU = Facts(
    name="urdu",
    title="URDU dataset of talk shows",
    pattern=r"s(?P<speaker>[mf]\d+)_f\d+_(?P<emotion>[ahns])\d+",
    emotions={"a": "angry", "h": "happy", "n": "neutral", "s": "sad"},
    languages={"": "ur"},
    sexes={speaker: speaker[0] for speaker in _URDU_FOLDS},
    folds=_URDU_FOLDS,
    licence="research only",
    citation="Latif et al. 2018, Cross Lingual Speech Emotion Recognition: Urdu vs. Western Languages, FIT",
    where="github.com/siddiquelatif/URDU-Dataset",
    layout="urdu/Angry/SM1_F10_A010.wav",
)

CORPORA: Mapping[str, Facts] = {
    facts.name: facts for facts in (_RAVDESS, _EMODB, _EMOTALE, _AESDD, _NEMO, _URDU)
}
"""The corpora with a reader, by name."""
