"""What the licences of recordings make of what was learnt from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_ser.corpora import corpus_names
from edge_ser.evaluation.origin import learnt_corpora

__all__ = ["of_published", "stated", "terms"]


def stated(text: str) -> str:
    """Licences or citations of corpora, ``NAME: TEXT; NAME: TEXT``, with words where a table states none."""
    parts = [one.strip() for one in text.split("; ")]
    return "; ".join(f"{one} not stated" if one.endswith(":") or not one else one for one in parts).lstrip()


def of_published(training: Mapping[str, Any]) -> bool:
    """Whether a network learnt, now or before, from a corpus published for research; so too where nothing is told."""
    names = learnt_corpora(training)
    return not names or bool(names & set(corpus_names()))


def terms(training: Mapping[str, Any]) -> str:
    """Terms of use that follow from a training: a bundle's ``licence``, where nobody says another."""
    parts = [training.get("licence"), training.get("began", {}).get("licence")]
    data = (
        "; ".join(dict.fromkeys(stated(one) for one in parts if one is not None)) or "licences not recorded"
    )
    return f"{'non-commercial use, ' * of_published(training)}as the training data's ({data})"
