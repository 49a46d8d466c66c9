"""What is said in a clip, as letters: the sentences of the corpora that everybody reads, and spoken digits."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from edge_ser.corpora.base import Clip

__all__ = ["DIGITS", "alphabet_of", "spelled", "transcript"]

#: EmoDB's ten sentences (Burkhardt et al. 2005), whose codes its file names hold.
_EMODB: Mapping[str, str] = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""What is said for each digit."""


def transcript(clip: Clip) -> str | None:
    """What is said in a clip, `spelled`; None where only a number of the sentence is known, or nothing.

    Parameters
    ----------
    clip : Clip
        Of RAVDESS, EmoTale or nEMO, whose metadata hold the sentence, of EmoDB, or of a table with sentences.
    """
    text = clip.sentence
    if clip.corpus == "emodb" and text is not None:
        text = _EMODB.get(text.lower(), text)
    if text is None or not any(letter.isalpha() for letter in text) or any(c.isdigit() for c in text):
        return None
    return spelled(text)


def spelled(text: str) -> str:
    """Lower-case letters and single spaces; all else is left out.

    Letters with marks stay as they are in their language: 'ä' and 'ł' are letters of their own.
    """
    letters = unicodedata.normalize("NFC", text).lower()
    return " ".join("".join(c if c.isalpha() else " " for c in letters).split())


def alphabet_of(texts: Iterable[str]) -> str:
    """The characters of texts, sorted; the class of each in a network is its place and one, as 0 is the blank."""
    return "".join(sorted(set("".join(texts))))
