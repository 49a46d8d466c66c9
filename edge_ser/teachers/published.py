"""The two published teachers of arousal, dominance and valence, and their mean.

The plain mean of Dawn and Odyssey is the teacher of Wav2Small (Kounadis-Bastian et al. 2024, arXiv 2408.13920).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_ser.errors import EdgeSerError
from edge_ser.teachers.dawn import Dawn
from edge_ser.teachers.odyssey import Odyssey
from edge_ser.teachers.registry import DAWN, ODYSSEY
from edge_ser.teachers.sources import Source
from edge_ser.teachers.targets import Targets, Teacher

__all__ = ["Dawn", "MeanTeacher", "Odyssey", "load_published"]


class MeanTeacher:
    """The plain mean of several teachers' arousal, dominance and valence, not clipped.

    Parameters
    ----------
    members : sequence of Teacher
        Two or more.

    Raises
    ------
    EdgeSerError
        Fewer than two.
    """

    labels: tuple[str, ...] = ()
    hint_size = 0

    def __init__(self, members: Sequence[Teacher]) -> None:
        if len(members) < 2:
            raise EdgeSerError(f"a mean needs two teachers or more, not {len(members)}")
        self.members = tuple(members)

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the members' identities; their order does not matter."""
        parts = sorted(member.identity for member in self.members)
        return hashlib.sha256("\0".join(["mean", *parts]).encode()).hexdigest()

    def targets(self, wave: npt.NDArray[np.float32]) -> Targets:
        """Mean of the members' answers (3,).

        Raises
        ------
        EdgeSerError
            A member refuses the recording, or gives no arousal, dominance and valence.
        """
        answers = [member.targets(wave).adv for member in self.members]
        given = [answer for answer in answers if answer is not None]
        if len(given) < len(answers):
            raise EdgeSerError("a member of the mean gives no arousal, dominance and valence; leave it out")
        return Targets(np.asarray(np.mean(given, axis=0, dtype=np.float64), np.float32))


def load_published(source: str | Path) -> Dawn | Odyssey:
    """Whichever of the two lies there, as its ``config.json`` says.

    Raises
    ------
    EdgeSerError
        Neither of them, or not whole.
    """
    kind = Source(source).json("config.json").get("model_type")
    if kind == "wav2vec2":
        return Dawn.load(source)
    if kind == "ser":
        return Odyssey.load(source)
    raise EdgeSerError(
        f"{source} is a {kind!r}, neither Dawn ('wav2vec2', {DAWN}) nor Odyssey ('ser', {ODYSSEY})"
    )
