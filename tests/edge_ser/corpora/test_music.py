"""Clips in the manner of four styles."""

from __future__ import annotations

import numpy as np
import pytest

from edge_ser.corpora import load_classes
from edge_ser.corpora.music import STYLES, synthesise, write_styles
from edge_ser.errors import EdgeSerError


@pytest.mark.parametrize("style", STYLES)
def test_a_seed_gives_a_clip_and_another_gives_another(style: str) -> None:
    clip = synthesise(style, 4.0, 1)
    assert clip.dtype == np.float32
    assert clip.shape == (64000,)
    assert np.abs(clip).max() == pytest.approx(0.9)
    np.testing.assert_array_equal(clip, synthesise(style, 4.0, 1))
    assert np.abs(clip - synthesise(style, 4.0, 2)).max() > 0.1


def test_clips_are_written_in_a_folder_for_each_style(tmp_path) -> None:
    folder = write_styles(tmp_path / "music", clips=2, duration=4.0)
    read = load_classes(folder)
    assert read.labels == tuple(sorted(STYLES))
    assert len(read) == 8
    assert not read.left_out


def test_what_cannot_be_played_is_refused() -> None:
    with pytest.raises(EdgeSerError, match="no style 'polka'; there are classical"):
        synthesise("polka")
    with pytest.raises(EdgeSerError, match="at least 4 s"):
        synthesise("rock", 1.0)
