"""One step of training that is the same whatever a batch holds: on an accelerator it is captured once and replayed.

A student of 72 000 parameters keeps an accelerator busy for microseconds a layer, and its host for longer than that.
So weights, gradients, moments and averages are one vector each, rates are looked up in a table on the device, and a
whole step is one CUDA graph.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from edge_ser.models.base import Network
from edge_ser.training.fit import said_of
from edge_ser.training.live.clips import LiveSet
from edge_ser.training.objective import Objective
from edge_ser.training.quantised import weights_rounded
from edge_ser.training.recipe import Recipe

__all__ = ["Step"]

_BETA2, _EPS, _CLIP = 0.999, 1e-8, 5.0
_WARM = 2


class Step:
    """A network, its loss, and AdamW (arXiv 1711.05101) with a moving average of the weights.

    Parameters
    ----------
    model : Network
        On the device.
    clips : LiveSet
    recipe : Recipe
    batches : int
        Of an epoch.
    """

    def __init__(self, model: Network, clips: LiveSet, recipe: Recipe, batches: int) -> None:
        self.model, self.clips, self.recipe = model, clips, recipe
        self.device = clips.pool.features.device
        self.batches, part = batches, recipe.fit
        self.frames = round(part.crop_s * recipe.spec.frame_rate)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.objective = Objective(recipe, model.hidden, clips.taught.hint.shape[2], clips.task_sizes)
        self.objective = self.objective.to(self.device)
        weights = [*model.parameters(), *self.objective.parameters()]
        floats = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        #: Batches that each normalisation has seen.
        self._seen = [buffer for buffer in model.buffers() if not buffer.is_floating_point()]
        self._moved = [weight for weight in weights if weight.requires_grad]
        #: Weights, then what normalisation keeps.
        self.values = _joined([*self._moved, *floats])
        self.trained = sum(weight.numel() for weight in self._moved)
        self.gradient = torch.zeros(self.trained, device=self.device)
        for weight, own in zip(self._moved, _pieces(self.gradient, self._moved), strict=True):
            weight.grad = own
        self.mean, self.square = torch.zeros_like(self.gradient), torch.zeros_like(self.gradient)
        self.average = self.values.clone()
        self.mean_teacher = None if part.consistency == 0 else self._of_average(model)
        self.count = torch.zeros((), dtype=torch.int64, device=self.device)
        self.rates = torch.from_numpy(_rates(recipe, batches)).to(self.device)
        shape = (batches, part.batch)
        self.chosen, self.rows, self.said = (
            torch.zeros(shape, dtype=torch.int64, device=self.device) for _ in range(3)
        )
        self.names: list[str] = []
        self.lost = torch.zeros(0, dtype=torch.float64, device=self.device)
        self._graphs: dict[bool, torch.cuda.CUDAGraph] = {}
        self._stream = torch.cuda.Stream() if self.device.type == "cuda" else None
        model.train()

    def begin(self, rng: np.random.Generator) -> None:
        """Draw an epoch's clips and views."""
        part, session = self.recipe.fit, self.recipe.session
        order = self.clips.order(rng, part.balance, session.clips if session else 1)
        chosen = order[: self.batches * part.batch].reshape(self.batches, part.batch)
        rows, said = self.clips.places(chosen, rng)
        with self._on_stream():
            for tensor, values in ((self.chosen, chosen), (self.rows, rows), (self.said, said)):
                host = torch.from_numpy(values)
                # out of pinned memory, so that nobody waits for the steps before
                tensor.copy_(host if self._stream is None else host.pin_memory(), non_blocking=True)
            self.lost.zero_()

    def run(self, *, rounded: bool) -> None:
        """The next step; on an accelerator it is only asked for."""
        if self._stream is None:
            self._step(rounded)
            return
        if rounded not in self._graphs:
            self._capture(rounded)
        with torch.cuda.stream(self._stream):
            self._graphs[rounded].replay()

    def losses(self) -> Tensor:
        """Sum of each term over the steps since `begin`, as the device will have it."""
        with self._on_stream():
            return self.lost.clone()

    def read(self, values: Tensor) -> list[float]:
        """Numbers that the device has; waits for the steps that they come from."""
        with self._on_stream():
            numbers: list[float] = values.tolist()
        return numbers

    def state(self) -> dict[str, Tensor]:
        """All that a stopped fit goes on from."""
        with self._on_stream():
            seen = torch.stack(self._seen).cpu() if self._seen else torch.zeros(0)
            return {name: getattr(self, name).cpu() for name in _KEPT} | {"seen": seen}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        for name in _KEPT:
            getattr(self, name).copy_(state[name])
        for count, value in zip(self._seen, state["seen"], strict=True):
            count.copy_(value)

    def averaged(self) -> Network:
        """The network with the average of its weights, on the processor and in inference mode."""
        with self._on_stream():
            self.values.copy_(self.average)
        if self._stream is not None:
            self._stream.synchronize()
        for weight in self._moved:
            weight.grad = None
        return self.model.cpu().eval()

    def _of_average(self, model: Network) -> Network:
        """The network that the moving average is, whose values it shares."""
        averaged = copy.deepcopy(model).eval().requires_grad_(False)
        floats = [buffer for buffer in averaged.buffers() if buffer.is_floating_point()]
        moved = [
            own
            for own, weight in zip(averaged.parameters(), model.parameters(), strict=True)
            if weight.requires_grad
        ]
        count = sum(one.numel() for one in moved)
        for part, values in ((moved, self.average[:count]), (floats, self.average[self.trained :])):
            for own, piece in zip(part, _pieces(values, part), strict=True):
                own.data = piece
        return averaged

    def _on_stream(self) -> torch.cuda.StreamContext:
        return torch.cuda.stream(self._stream)  # nothing, on a processor

    def _step(self, rounded: bool) -> None:
        with self.device:  # what losses and augmentation make is made there
            self.gradient.zero_()
            at = (self.count % self.batches)[None]
            rate, beta, first, second, share = self.rates.index_select(0, self.count[None])[0].unbind()
            chosen, rows, said = (
                table.index_select(0, at)[0] for table in (self.chosen, self.rows, self.said)
            )
            recipe = self.recipe
            plain = self.mean_teacher is not None
            batch = self.clips.made(chosen, rows, said, self.frames, recipe.augment, recipe.spec, plain)
            calm = (
                None if self.mean_teacher is None else said_of(self.mean_teacher, batch, recipe.fit.bfloat16)
            )
            with weights_rounded(self.model, on=rounded):
                terms = self.objective(self.model, batch, calm)
                torch.stack(list(terms.values())).sum().backward()
            with torch.no_grad():
                if not self.names:
                    self.names = list(terms)
                    self.lost = torch.zeros(len(terms), dtype=torch.float64, device=self.device)
                self.lost += torch.stack([term.detach() for term in terms.values()]).double()
                weights = self.values[: self.trained]
                gradient = self.gradient
                gradient *= (_CLIP / (torch.linalg.vector_norm(gradient) + 1e-6)).clamp(max=1.0)
                weights *= 1 - rate * recipe.fit.weight_decay
                self.mean += (1 - beta) * (gradient - self.mean)
                self.square += (1 - _BETA2) * (gradient.square() - self.square)
                weights -= rate / first * self.mean / ((self.square / second).sqrt() + _EPS)
                self.average += share * (self.values - self.average)
                self.count += 1

    def _capture(self, rounded: bool) -> None:
        """Make the graph of a step; what the trial steps before it changed is put back."""
        assert self._stream is not None
        torch.cuda.synchronize()
        kept, lost = self.state(), self.lost.clone()
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM):
                self._step(rounded)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            self._step(rounded)
        torch.cuda.synchronize()
        self.load_state(kept)
        if len(lost):
            self.lost.copy_(lost)
        else:  # the first step named the terms
            self.lost.zero_()
        torch.cuda.synchronize()
        self._graphs[rounded] = graph


_KEPT = ("values", "mean", "square", "average", "count")


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """One vector of all values, of which each tensor becomes a part."""
    vector = torch.cat([tensor.data.flatten() for tensor in tensors])
    for tensor, piece in zip(tensors, _pieces(vector, tensors), strict=True):
        tensor.data = piece
    return vector


def _pieces(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    parts = vector.split([one.numel() for one in like])
    return [part.view(one.shape) for part, one in zip(parts, like, strict=True)]


def _rates(recipe: Recipe, batches: int) -> np.ndarray:
    """Of each step: learning rate, first beta, both corrections of AdamW's bias, and the average's step.

    The rates are those of `edge_ser.training.fit`: one cycle, or from where ``steady`` begins the rate as it is found
    and a plain mean of the weights.
    """
    part = recipe.fit
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.AdamW([weight], lr=part.lr)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, part.lr, part.epochs * batches)
    weight.grad = torch.zeros(1)
    steady = (part.epochs - round(part.epochs * part.steady)) * batches
    rows = np.zeros((part.epochs * batches, 5))
    for step, row in enumerate(rows):
        group = optimiser.param_groups[0]
        beta = group["betas"][0]
        share = 1 - part.ema if step else 1.0
        if step >= steady:
            share = 1 / (step - steady + 1)
        row[:] = group["lr"], beta, 1 - beta ** (step + 1), 1 - _BETA2 ** (step + 1), share
        optimiser.step()
        if step < steady:
            cycle.step()
    return rows.astype(np.float32)
