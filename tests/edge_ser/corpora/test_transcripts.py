"""What is said in clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_ser.corpora import Clip, load_corpus
from edge_ser.corpora.transcripts import DIGITS, alphabet_of, spelled, transcript
from tests.support import need_corpus


def clip(corpus: str, sentence: str | None) -> Clip:
    return Clip(Path("x.wav"), corpus, "s", sentence=sentence)


@pytest.mark.parametrize(
    ("corpus", "sentence", "text"),
    [
        ("ravdess", "Kids are talking by the door", "kids are talking by the door"),
        ("emodb", "a04", "heute abend könnte ich es ihm sagen"),
        ("emodb", "A01", "der lappen liegt auf dem eisschrank"),
        ("nemo", "Kupiłem nową szafę do sypialni.", "kupiłem nową szafę do sypialni"),
        ("mine", "  Don't - go!  ", "don t go"),
        ("aesdd", "03", None),
        ("emodb", "b99", None),
        ("mine", None, None),
        ("mine", "...", None),
    ],
)
def test_words_and_codes(corpus: str, sentence: str | None, text: str | None) -> None:
    assert transcript(clip(corpus, sentence)) == text


def test_marks_are_of_one_form() -> None:
    assert spelled("Scho\u0308n") == spelled("Schön") == "schön"
    assert alphabet_of(["ba", "a c"]) == " abc"
    assert len(DIGITS) == 10 == len(set(DIGITS))


@pytest.mark.parametrize(
    ("corpus", "sentences"), [("ravdess", 2), ("emodb", 10), ("nemo", 90), ("emotale", 10)]
)
def test_all_clips_of_the_corpora_say_something(corpus: str, sentences: int) -> None:
    need_corpus(corpus)
    texts = [transcript(one) for one in load_corpus(corpus).clips]
    assert None not in texts and len(set(texts)) == sentences
