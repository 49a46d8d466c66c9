"""What answers a wave, whoever made it: fold checkpoints, each for the speakers it never heard, or a bundle."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_ser.corpora import Clip, Corpus
from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.evaluate import Device
from edge_ser.evaluation.folds import load_fold, lowest_seed
from edge_ser.evaluation.score import whole_clip
from edge_ser.recognizer import Recognizer
from firmware_py.decision import probabilities

if TYPE_CHECKING:
    from edge_ser.models.base import Network

__all__ = ["Ask", "Heard", "Listener", "bundle_listener", "checkpoint_listener"]


@dataclasses.dataclass(frozen=True)
class Heard:
    """The answer to one wave: probabilities among the corpus's labels, and arousal, dominance, valence."""

    scores: np.ndarray
    adv: np.ndarray


Ask = Callable[[np.ndarray], Heard]


@dataclasses.dataclass(frozen=True)
class Listener:
    """Answers any wave in the place of a clip.

    Attributes
    ----------
    name, statement : str
        Of the model, and how it is asked.
    labels : tuple of str
        What it chooses among.
    ask_for : callable
        Clip to what answers waves in its place.
    """

    name: str
    statement: str
    labels: tuple[str, ...]
    ask_for: Callable[[Clip], Ask]

    def hear(self, clip: Clip, wave: np.ndarray) -> Heard:
        """The answer to a wave as if it were the clip's."""
        return self.ask_for(clip)(wave)


def bundle_listener(recognizer: Recognizer, corpus: Corpus) -> Listener:
    """A bundle on its engine, by the device's pipeline.

    Raises
    ------
    EdgeSerError
        It knows none of the corpus's emotions.
    """
    labels = tuple(label for label in corpus.labels if label in recognizer.bundle.labels)
    if not labels and any(clip.emotion for clip in corpus.clips):
        raise EdgeSerError(f"{recognizer.bundle.name} knows none of {', '.join(corpus.labels)}")
    ask = _ask_recognizer(recognizer, labels)
    engine = recognizer.engine
    return Listener(
        recognizer.bundle.name,
        f"audio through {engine.name} {engine.precision} streaming",
        labels,
        lambda clip: ask,
    )


@contextlib.contextmanager
def checkpoint_listener(
    folder: str | Path, corpus: Corpus, *, folds: Sequence[int] | None = None, device: Device | None = None
) -> Iterator[Listener]:
    """The checkpoints of folds (of the lowest seed), each for the clips of its fold.

    A network that streams hears a clip cut to whole steps at once, which gives the answers of its steps.

    Raises
    ------
    EdgeSerError
        No checkpoints, or a fold without one.
    """
    asks: dict[int, Ask] = {}
    statement = "the fold's own model"
    with contextlib.ExitStack() as stack:
        for held_out, path in lowest_seed(folder, corpus.folds() if folds is None else folds).items():
            model, meta = load_fold(path, held_out, corpus)
            if unknown := [label for label in corpus.labels if label not in model.config.labels]:
                raise EdgeSerError(f"the model of fold {held_out} does not know {', '.join(unknown)}")
            if device is None:
                asks[held_out] = _ask_network(model.eval(), MelSpec.from_dict(meta["spec"]), corpus.labels)
            else:
                train, _ = corpus.split(held_out)
                recognizer = stack.enter_context(device(path, train))
                asks[held_out] = _ask_recognizer(recognizer, corpus.labels)
                statement = (
                    f"the fold's own model through {recognizer.engine.name} {recognizer.engine.precision}"
                )

        def ask_for(clip: Clip) -> Ask:
            if clip.fold not in asks:
                raise EdgeSerError(f"{clip.path} is of fold {clip.fold}, and no model here held that out")
            return asks[clip.fold]

        yield Listener(meta["architecture"], statement, corpus.labels, ask_for)


def _ask_network(model: Network, spec: MelSpec, labels: Sequence[str]) -> Ask:
    columns = [model.config.labels.index(label) for label in labels]
    step = getattr(model.config, "step_frames", 1)

    def ask(wave: np.ndarray) -> Heard:
        frames = model.heard(wave, spec)
        adv, logits = whole_clip(model, frames[: len(frames) // step * step])
        return Heard(probabilities(logits[columns], 1.0), adv.astype(np.float64))

    return ask


def _ask_recognizer(recognizer: Recognizer, labels: Sequence[str]) -> Ask:
    def ask(wave: np.ndarray) -> Heard:
        answer = recognizer.predict(wave)
        among = np.array([answer.emotion[label] for label in labels])
        return Heard(
            among / max(among.sum(), 1e-12), np.array([answer.arousal, answer.dominance, answer.valence])
        )

    return ask
