"""What the studies' tests need not wait for."""

from __future__ import annotations

import pytest

from tests.support import blank_pictures


@pytest.fixture(autouse=True, scope="module")
def pictures_left_blank():
    """The tests of the plots draw them."""
    with blank_pictures():
        yield
