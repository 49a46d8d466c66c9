"""What the licences of recordings make of a network, and what its card says of them."""

from __future__ import annotations

import pytest

from export.card import card_text
from export.licences import of_published, stated, terms
from tests.export.test_card import ENTRIES
from tests.support import manifest

OWN = {"clips": {"mine": 9}, "licence": "mine: ", "citation": "mine: "}
BEGAN = {
    "began": {"clips": {"emodb": 535}, "licence": "emodb: free", "citation": "emodb: Burkhardt; Weiss 2005"}
}


@pytest.mark.parametrize(("text", "said"), [
    ("emodb: free", "emodb: free"), ("mine: ", "mine: not stated"), ("", "not stated"),
    ("mine: ; nemo: CC BY; x:", "mine: not stated; nemo: CC BY; x: not stated"),
])  # fmt: skip
def test_a_table_that_states_none_is_said_to(text: str, said: str) -> None:
    assert stated(text) == said


def test_terms_follow_from_all_that_was_learnt() -> None:
    assert terms(OWN) == "as the training data's (mine: not stated)"
    assert terms(OWN | BEGAN) == "non-commercial use, as the training data's (mine: not stated; emodb: free)"
    assert terms({}) == "non-commercial use, as the training data's (licences not recorded)"
    ravdess = {"clips": {"ravdess": 1}, "licence": "ravdess: CC BY-NC-SA 4.0"}
    assert terms(ravdess) == "non-commercial use, as the training data's (ravdess: CC BY-NC-SA 4.0)"
    assert of_published(ravdess) and not of_published(OWN)


def test_the_card_names_what_a_network_began_from() -> None:
    text = card_text(manifest(ENTRIES) | {"training": OWN | BEGAN})
    assert "- began from a network that had learnt: 535 clips of emodb" in text
    assert "- licences of these: emodb: free" in text and "Burkhardt; Weiss 2005" in text
    assert "- licences of the corpora: mine: not stated" in text
    assert "It learnt from mine, emodb: for the most part" in text
    assert "for research and other non-commercial use" in text


def test_the_card_of_ones_own_recordings_forbids_nothing_that_they_do_not() -> None:
    text = card_text(manifest(ENTRIES) | {"training": OWN})
    assert "began from" not in text and "for research and other non-commercial use" not in text
    assert "as their licences and their speakers allow" in text
