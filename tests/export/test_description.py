"""What a bundle is called."""

from pathlib import Path

import pytest

from edge_ser.errors import EdgeSerError
from export.description import model_name


def test_the_name_that_is_given_or_the_folders():
    assert model_name(None, Path("out/mine-2.1")) == "mine-2.1"
    assert model_name("yours", Path("my model")) == "yours"


@pytest.mark.parametrize(
    ("name", "folder", "told"),
    [
        (None, "my model", "the folder's name 'my model'"),
        ("größer", "mine", "the name"),
        ("", "mine", "the name"),
    ],
)
def test_one_that_no_bundle_can_have_is_told_before_anything_is_converted(name, folder, told):
    with pytest.raises(EdgeSerError, match=told):
        model_name(name, Path(folder))
