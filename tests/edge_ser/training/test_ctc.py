"""Connectionist temporal classification against torch's, against all paths written out, and its laws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edge_ser.errors import EdgeSerError
from edge_ser.training.ctc import collapse, ctc_align, ctc_greedy, ctc_loss

pytest.importorskip("numba")


def random_case(
    seed: int, frames: int = 24, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """A batch of random lengths; labels from few, so that many repeat; some targets empty, some impossible."""
    rng = np.random.default_rng(seed)
    total, batch, classes = int(rng.integers(1, frames + 1)), int(rng.integers(1, 6)), int(rng.integers(2, 9))
    longest = int(rng.integers(0, 11))
    blank = int(rng.integers(classes))
    logits = torch.from_numpy(rng.normal(0, rng.choice([0.1, 1.0, 3.0]), (total, batch, classes))).to(dtype)
    others = np.delete(np.arange(classes), blank)[: int(rng.integers(1, classes))]
    targets = torch.from_numpy(rng.choice(others, (batch, longest)))
    lengths = torch.from_numpy(rng.integers(0, longest + 1, batch))
    inputs = torch.from_numpy(rng.integers(0, total + 1, batch))
    return logits, targets, inputs, lengths, blank


def test_value_and_gradient_are_torchs_in_a_thousand_random_cases() -> None:
    impossible = empty = repeats = 0
    for seed in range(1000):
        logits, targets, inputs, lengths, blank = random_case(seed)
        zero = seed % 2 == 0
        reduction = ("none", "mean", "sum")[seed % 3]
        weight = torch.linspace(0.5, 2.0, logits.shape[1]) if reduction == "none" else torch.tensor(1.5)
        flat = seed % 5 == 0
        given_ = torch.cat([row[:n] for row, n in zip(targets, lengths, strict=True)]) if flat else targets
        results = []
        for function in (ctc_loss, torch.nn.functional.ctc_loss):
            x = logits.clone().requires_grad_()
            loss = function(x.log_softmax(2), given_, inputs, lengths, blank, reduction, zero)
            (loss * weight).sum().backward()
            results.append((loss.detach(), x.grad))
        for mine, theirs in zip(*results, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5, equal_nan=True)
        for row, n, t in zip(targets, lengths.tolist(), inputs.tolist(), strict=True):
            doubled = int((row[1:n] == row[: max(n - 1, 0)]).sum())
            impossible += n + doubled > t
            empty += n == 0
            repeats += doubled > 0
    assert min(impossible, empty, repeats) > 300  # the edges were there


def test_gradient_of_the_log_probabilities_is_torchs_too() -> None:
    logits, targets, inputs, lengths, blank = random_case(3)
    grads = []
    for function in (ctc_loss, torch.nn.functional.ctc_loss):
        x = logits.log_softmax(2).requires_grad_()
        function(x, targets, inputs, lengths, blank, "sum", True).backward()
        grads.append(x.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-5)


def test_gradient_is_that_of_differences() -> None:
    logits, targets, inputs, lengths, blank = random_case(12, 8, torch.float64)
    x = logits.requires_grad_()

    def loss(x: Tensor) -> Tensor:
        return ctc_loss(x.log_softmax(2), targets, inputs, lengths, blank, "none", True)

    assert torch.autograd.gradcheck(loss, (x,))


def paths_of(target: list[int], classes: int, frames: int, blank: int) -> list[tuple[int, ...]]:
    """All paths that say a target."""
    return [
        p
        for p in itertools.product(range(classes), repeat=frames)
        if collapse(list(p), blank) == target
    ]  # fmt: skip


@settings(max_examples=60)
@given(st.integers(1, 5), st.integers(2, 4), st.lists(st.integers(0, 2), max_size=3), st.integers(0, 10**6))
def test_all_paths_written_out(frames: int, classes: int, wanted: list[int], seed: int) -> None:
    blank = seed % classes
    target = [label for label in wanted if label < classes and label != blank]
    lp = torch.from_numpy(np.random.default_rng(seed).normal(0, 2, (frames, classes))).log_softmax(1)
    arguments = (lp, torch.tensor(target, dtype=torch.int64), torch.tensor(frames), torch.tensor(len(target)))
    loss, alignment = ctc_loss(*arguments, blank, "sum"), ctc_align(*arguments, blank)
    paths = paths_of(target, classes, frames, blank)
    scores = [math.fsum(float(lp[t, c]) for t, c in enumerate(path)) for path in paths]
    if not paths:
        assert loss == math.inf and alignment.scores[0] == -math.inf
        assert (alignment.labels == -1).all() and (alignment.tokens == -1).all()
        assert alignment.spans(0) == []
        return
    total = sum(math.exp(score) for score in scores)
    assert float(loss) == pytest.approx(-math.log(total), abs=1e-9)
    assert float(alignment.scores[0]) == pytest.approx(max(scores), abs=1e-9)
    path = alignment.labels[0].tolist()
    assert collapse(path, blank) == target
    assert math.fsum(float(lp[t, c]) for t, c in enumerate(path)) == pytest.approx(max(scores), abs=1e-9)
    spans = alignment.spans(0)
    assert len(spans) == len(target)
    for label, (start, stop) in zip(target, spans, strict=True):
        assert path[start:stop] == [label] * (stop - start) and stop > start
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


def test_probabilities_of_all_targets_sum_to_one() -> None:
    lp = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (4, 3))).log_softmax(1)
    targets = {tuple(collapse(list(p), 0)) for p in itertools.product(range(3), repeat=4)}
    total = sum(
        math.exp(-float(ctc_loss(lp, torch.tensor(t, dtype=torch.int64), 4, len(t), reduction="sum")))
        for t in targets
    )
    assert total == pytest.approx(1.0, abs=1e-12)


def test_the_best_path_is_never_likelier_than_all_and_a_batch_is_its_sequences() -> None:
    for seed in range(50):
        logits, targets, inputs, lengths, blank = random_case(seed)
        lp = logits.log_softmax(2)
        losses = ctc_loss(lp, targets, inputs, lengths, blank, "none")
        alignment = ctc_align(lp, targets, inputs, lengths, blank)
        assert (alignment.scores <= -losses + 1e-4).all()
        for b in range(lp.shape[1]):
            alone = ctc_align(lp[: inputs[b], b], targets[b], inputs[b], lengths[b], blank)
            assert alone.spans(0) == alignment.spans(b)
            assert (alignment.labels[b, inputs[b] :] == -1).all()


def test_what_lies_beyond_lengths_does_not_matter() -> None:
    logits, targets, inputs, lengths, blank = random_case(6)
    lp = logits.log_softmax(2)
    before = ctc_loss(lp, targets, inputs, lengths, blank, "none")
    for b in range(len(inputs)):
        lp[inputs[b] :, b] = math.nan
        targets[b, lengths[b] :] = -7
    torch.testing.assert_close(ctc_loss(lp, targets, inputs, lengths, blank, "none"), before, rtol=0, atol=0)


def test_a_class_of_no_probability_has_a_finite_gradient() -> None:
    logits = torch.zeros(4, 1, 3)
    logits[:, :, 2] = -math.inf
    x = logits.log_softmax(2).requires_grad_()
    loss = ctc_loss(x, torch.tensor([[1]]), torch.tensor([4]), torch.tensor([1]))
    loss.backward()
    assert torch.isfinite(loss) and x.grad is not None and torch.isfinite(x.grad).all()


def test_greedy_merges_repeats_and_drops_blanks() -> None:
    path = torch.tensor([[0, 1, 1, 0, 1, 2], [2, 2, 0, 0, 1, 1]])
    lp = torch.nn.functional.one_hot(path, 3).float().transpose(0, 1).log_softmax(2)
    texts, heard = ctc_greedy(lp, torch.tensor([6, 3]))
    assert texts == [[1, 1, 2], [2]]
    assert heard.tolist() == [[0, 1, 1, 0, 1, 2], [2, 2, 0, -1, -1, -1]]
    assert ctc_greedy(lp, torch.tensor([6, 0]), blank=2)[0] == [[0, 1, 0, 1], []]
    assert ctc_greedy(lp[:, 0], torch.tensor(6))[0] == [[1, 1, 2]]


LP, TARGETS, FRAMES, LENGTHS = torch.zeros(5, 2, 4), torch.ones(2, 3, dtype=torch.int64), [5, 4], [3, 2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"log_probs": LP.half()}, "float32 or float64"),
        ({"log_probs": LP[None]}, "of the shape"),
        ({"blank": 4}, "the blank must be one of the 4 classes"),
        ({"blank": 1}, "a target holds 1, the blank"),
        ({"input_lengths": [6, 1]}, "at most 5"),
        ({"input_lengths": [-1, 1]}, "at least 0"),
        ({"input_lengths": [5]}, "2 whole numbers"),
        ({"input_lengths": [5.0, 4.0]}, "whole numbers, not float32"),
        ({"target_lengths": [4, 1]}, "do not hold 2 targets of up to 4 labels"),
        ({"targets": TARGETS + 3}, r"labels 0..3, and hold 4..4"),
        ({"targets": TARGETS - 2}, r"hold -1..-1"),
        ({"targets": TARGETS.float()}, "targets must be whole numbers"),
        ({"targets": torch.ones(7, dtype=torch.int64)}, "add up to 5, and there are 7 labels"),
        ({"reduction": "max"}, "reduction must be"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], words: str) -> None:
    arguments = {
        "log_probs": LP,
        "targets": TARGETS,
        "input_lengths": FRAMES,
        "target_lengths": LENGTHS,
        **change,
    }
    for name in ("input_lengths", "target_lengths"):
        arguments[name] = torch.tensor(arguments[name])
    with pytest.raises(EdgeSerError, match=words):
        ctc_loss(**arguments)  # type: ignore[arg-type]
