"""The push-able core: samples in, predictions out, the same ones however the samples are split."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from edge_ser.dsp import LogMelStream
from edge_ser.errors import EdgeSerError

from .adaptation import SpeakerMean, SpeakerTurns
from .decision import Decision
from .doze import MOST_STEPS, Dozer, memory_steps
from .engines import Engine, Outputs
from .gate import Gate, LevelGate, Reading
from .prediction import Prediction, State
from .speech_statistics import WINDOW_STEPS
from .turns import LEAD_STEPS, PAUSE_STEPS, Turns

if TYPE_CHECKING:
    from edge_ser.bundle import Bundle

__all__ = ["Pipeline", "front_end", "speaker_turns"]


class _Samples:
    """No front end: a model that hears samples computes its features itself, of a whole window."""

    def push(self, x: np.ndarray) -> np.ndarray:
        return x.copy()

    def reset(self) -> None:
        pass


def front_end(bundle: Bundle) -> LogMelStream | _Samples:
    """What turns a step's samples into what the bundle's engines take; ``push`` takes the next samples."""
    return LogMelStream(bundle.spec) if bundle.hears == "features" else _Samples()


def speaker_turns(bundle: Bundle) -> SpeakerTurns:
    """What is known of a speaker before a word: nothing, beside the bundle's typical answers.

    Raises
    ------
    EdgeSerError
        It has none.
    """
    return SpeakerTurns(SpeakerMean(bundle.typical_for("--adapt")), bundle.step_s)


class Pipeline:
    """Front end, gate and engine over one stream of audio.

    Samples are gathered into whole steps before anything is computed, so every computation sees the same shapes and
    values whatever the pieces were: predictions are identical bit for bit for any split.

    Parameters
    ----------
    bundle : Bundle
        The model; gives the front end, the step, the labels and the calibration.
    engine : Engine
        Opened from the same bundle.
    every : int
        Give the prediction of each `every`-th step; the model runs on all of them.
    gate : Gate, optional
        A `LevelGate` when left out.
    doze : bool
        Do not run the model where the gate is closed, see `Dozer`; such predictions hold no answers.
    adapt : bool
        Get used to the speaker, see `firmware_py.adaptation`.
    turns : bool
        Begin anew after a pause, see `firmware_py.turns`: answers to a turn are those to a recording that begins with
        it. Without, the model hears on as if there were no pauses.

    Raises
    ------
    EdgeSerError
        The bundle's front end does not stream, its model cannot doze, or it has no typical answers to adapt by.

    Attributes
    ----------
    step_samples : int
        Samples of a step (4000: 250 ms).
    every : int
        As given.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        *,
        every: int = 1,
        gate: Gate | None = None,
        doze: bool = False,
        adapt: bool = False,
        turns: bool = False,
    ) -> None:
        spec = bundle.spec
        if bundle.vector is not None:
            raise EdgeSerError(
                f"{bundle.name} answers whole recordings from their feature vectors and does not stream: "
                "use edge-ser predict"
            )
        if spec.padding != "causal" and bundle.hears == "features":
            # With any other padding a step's frames need samples after the step, and `end` would not be true.
            raise EdgeSerError(
                f"{bundle.name} pads its front end {spec.padding!r}; listening needs 'causal': train it with that"
            )
        if every < 1:
            raise ValueError(f"every must be at least 1, not {every}")
        self.bundle, self.engine = bundle, engine
        self.step_samples = bundle.step_frames * spec.hop_length
        self.every = every
        self._window = _window_samples(bundle)
        self._gate = gate if gate is not None else LevelGate(spec.hop_length, spec.sample_rate)
        speaker = speaker_turns(bundle) if adapt else None
        self._decision = Decision(bundle.calibration, bundle.speech_detector, spec.frame_rate, speaker)
        self._front = front_end(bundle)
        self._state = engine.initial_state()
        # Where the gate reads samples alone, the front end sleeps as well; frames longer than a step would need more
        # of the past than is kept.
        self._late = not self._gate.reads_features and spec.n_fft <= self.step_samples
        self._anew = turns
        self._dozer = self._make_dozer() if doze else None
        self._turns = Turns()
        self._lead: deque[np.ndarray] = deque(maxlen=LEAD_STEPS)  # of a pause, what belongs to the next turn
        self._nothing = dict.fromkeys(bundle.labels, math.nan)
        self._step = np.zeros(self.step_samples, np.float32)
        self._filled = 0
        self._steps = 0
        self._position = 0  # samples of the stream up to the last one taken, lost ones counted
        self._lost = 0  # since the last prediction
        self._lost_total = 0
        self._gap = 0  # since the last step

    @property
    def pending(self) -> int:
        """Samples taken that do not fill a step yet."""
        return self._filled

    @property
    def processed(self) -> int:
        """Samples that went through the model."""
        return self._steps * self.step_samples

    @property
    def dozed(self) -> int:
        """Samples of these that the gate heard and the model did not."""
        return self._dozer.dozed * self.step_samples if self._dozer is not None else 0

    def _make_dozer(self) -> Dozer:
        front = self._front if self._late else None
        if self._anew:  # what is missed before the pause is long enough to be forgotten
            return Dozer(self.engine, PAUSE_STEPS, front, WINDOW_STEPS)
        heard = front_end(self.bundle).push(np.zeros(self.step_samples, np.float32))
        memory = memory_steps(self.engine, heard.shape)
        if memory is None:
            raise EdgeSerError(
                f"{self.bundle.name} remembers more than {MOST_STEPS} steps, so it cannot doze without changing its "
                "answers; leave --doze out"
            )
        return Dozer(self.engine, memory, front, WINDOW_STEPS)

    def warm_up(self) -> None:
        """Run a step whose answer nobody gets, so that what is made at the first one does not delay a real one."""
        features = front_end(self.bundle).push(np.zeros(self.step_samples, np.float32))
        self.engine.step(features, self.engine.initial_state())

    def skip(self, samples: int) -> None:
        """Say that this many samples of the stream were lost here; the audio goes on behind the gap.

        Times count the gap; the model does not hear it. One as long as a pause ends the turn.
        """
        self._position += samples
        self._lost += samples
        self._lost_total += samples
        self._gap += samples

    def push(
        self, samples: np.ndarray, on_prediction: Callable[[Prediction], None] | None = None
    ) -> list[Prediction]:
        """Take the next samples and give the predictions that they complete.

        Parameters
        ----------
        samples : (n,) float32
            Audio in -1..1 at the bundle's sample rate; any `n`.
        on_prediction : callable, optional
            Called with each prediction at once, before the rest of `samples` is worked on.

        Returns
        -------
        list of Prediction
            Oldest first, often empty.
        """
        predictions = []
        taken = 0
        while taken < len(samples):
            count = min(len(samples) - taken, self.step_samples - self._filled)
            self._step[self._filled : self._filled + count] = samples[taken : taken + count]
            self._filled += count
            self._position += count
            taken += count
            if self._filled == self.step_samples:
                prediction = self._run_step()
                if prediction is not None:
                    predictions.append(prediction)
                    if on_prediction is not None:
                        on_prediction(prediction)
        return predictions

    def _hear(self) -> tuple[Outputs | None, dict[str, float], State, Reading]:
        """The model's answer to a step, the probabilities it means, the state, and what the gate read."""
        if self._dozer is None:
            features = self._front.push(self._step)
            reading = self._gate.push(self._step, features)
            if self._begins_turn(reading):
                self._state = self.engine.initial_state()
                for lead in self._lead:
                    _, self._state = self.engine.step(lead, self._state)
            if reading.open:
                self._lead.clear()
            else:
                self._lead.append(features)
            outputs, self._state = self.engine.step(features, self._state)
        else:
            early = None if self._late else self._front.push(self._step)
            reading = self._gate.push(self._step, early)
            anew = self._begins_turn(reading)
            # A level that is no number wakes the front end, which says what is wrong with the samples.
            if not reading.open and math.isfinite(reading.level_db):
                self._dozer.sleep(self._step if early is None else early)
                if early is not None:
                    self._decision.hear(early)
                return None, self._nothing, "silence", reading
            missed = self._dozer.wake(anew)
            if early is None:
                for features in missed:
                    self._decision.hear(features)
                features = self._front.push(self._step)
            else:
                features = early
            outputs = self._dozer.step(features)
        shares, state = self._decision.push(features, outputs.logits, reading)
        return outputs, dict(zip(self.bundle.labels, map(float, shares), strict=True)), state, reading

    def _begins_turn(self, reading: Reading) -> bool:
        """Whether the model is to forget what was before this step, for a turn begins."""
        if self._gap >= PAUSE_STEPS * self.step_samples:
            self._turns.interrupt()
        self._gap = 0
        begins = self._turns.begins(reading.open)
        if begins:
            self._decision.begin_turn()
        return begins and self._anew

    def _run_step(self) -> Prediction | None:
        outputs, emotion, state, reading = self._hear()
        self._filled = 0
        self._steps += 1
        if self._steps % self.every:
            return None
        lost, self._lost = self._lost, 0
        order = self.bundle.adv.order
        if outputs is None or not self.bundle.adv.learnt:
            adv = dict.fromkeys(order, math.nan)
        else:  # networks with linear outputs go beyond the scale that the bundle promises
            adv = dict(zip(order, map(float, outputs.adv.clip(*self.bundle.adv.range)), strict=True))
        return Prediction(
            start=max(0, self._position - self._window),
            end=self._position,
            sample_rate=self.bundle.spec.sample_rate,
            emotion=emotion,
            state=state,
            level_db=reading.level_db,
            lost_samples=lost,
            lost_total=self._lost_total,
            turn=self._turns.number,
            arousal=adv["arousal"],
            dominance=adv["dominance"],
            valence=adv["valence"],
        )


def _window_samples(bundle: Bundle) -> int:
    """Length of the pool's sliding window; what convolutions see of earlier frames is not counted."""
    if bundle.window is not None:
        return bundle.window.samples
    segments = bundle.config.get("window_segments")
    if not isinstance(segments, int):
        raise EdgeSerError(f"the bundle {bundle.name} does not say its window_segments; export it again")
    return segments * bundle.step_frames * bundle.spec.hop_length
