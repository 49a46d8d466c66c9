"""A step is that of torch's AdamW, its cycle and its averaged model, whatever the weights lie in."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.optim import swa_utils  # noqa: E402

from edge_ser.dsp import MelSpec  # noqa: E402
from edge_ser.models.stream72k import Stream72k, Stream72kConfig  # noqa: E402
from edge_ser.training.fit import said_of  # noqa: E402
from edge_ser.training.live.step import Step  # noqa: E402
from edge_ser.training.recipe import DataPart, DistilPart, FitPart, LivePart, Recipe  # noqa: E402
from tests.edge_ser.training.live.made import LABELS, generator, live_set  # noqa: E402
from tests.edge_ser.training.live.test_clips import PLAIN  # noqa: E402

SMALL = Stream72kConfig(labels=LABELS, stem=(2,), channels=16, dilations=(1, 2), heads=2)
BATCHES = 3


def recipe(**fit: Any) -> Recipe:
    about = {"epochs": 4, "batch": 8, "crop_s": 0.75, "lr": 0.01, "ema": 0.9, "dropout": 0.0} | fit
    return Recipe(
        name="tiny",
        model="stream72k",
        data=DataPart(("own",)),
        fit=FitPart(**about),  # type: ignore[arg-type]
        augment=PLAIN,
        spec=MelSpec(mean=-50.0, scale=20.0),
        config={},
        distil=DistilPart(soft=0.5, hint=1.0),
        live=LivePart(views=2, fitted=1),
    )


def network() -> Stream72k:
    torch.manual_seed(0)
    return Stream72k(SMALL, dropout=0.0)


def reference(how: Recipe) -> tuple[Stream72k, torch.nn.Module]:
    """The same steps by torch's own means; the network, and its average."""
    step = Step(network(), live_set(30), how, BATCHES)  # for its objective and its batches
    model, objective = network().train(), step.objective
    weights = [*model.parameters(), *objective.parameters()]
    for weight in weights:
        weight.grad = None
    part = how.fit
    optimiser = torch.optim.AdamW(weights, lr=part.lr, weight_decay=part.weight_decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, part.lr, part.epochs * BATCHES)
    ema = swa_utils.AveragedModel(
        model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(part.ema), use_buffers=True
    )
    steady = part.epochs - round(part.epochs * part.steady)
    kept: list[dict[str, torch.Tensor]] = []
    for epoch in range(part.epochs):
        rng = generator(epoch)
        order = step.clips.order(rng, 0.0)[: BATCHES * part.batch].reshape(BATCHES, part.batch)
        rows, said = step.clips.places(order, rng)
        for i in range(BATCHES):
            torch.manual_seed(100 * epoch + i)
            chosen = (torch.from_numpy(one[i]) for one in (order, rows, said))
            batch = step.clips.made(*chosen, step.frames, how.augment, how.spec, part.consistency > 0)
            calm = said_of(ema.module, batch, part.bfloat16)
            optimiser.zero_grad()
            torch.stack(list(objective(model, batch, calm).values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(weights, 5.0)
            optimiser.step()
            if epoch < steady:
                cycle.step()
                ema.update_parameters(model)
            else:
                kept.append({name: value.clone() for name, value in model.state_dict().items()})
    if kept:
        means = {n: torch.stack([one[n].float() for one in kept]).mean(0) for n in kept[0]}
        ema.module.load_state_dict({n: v.to(kept[0][n].dtype) for n, v in means.items()})
    return model, ema.module


def run(how: Recipe, *, rounded: bool = False) -> Step:
    step = Step(network(), live_set(30), how, BATCHES)
    for epoch in range(how.fit.epochs):
        step.begin(generator(epoch))
        for i in range(BATCHES):
            torch.manual_seed(100 * epoch + i)
            step.run(rounded=rounded)
    return step


@pytest.mark.parametrize(("steady", "consistency"), [(0.0, 0.0), (0.5, 0.0), (0.0, 1.0)])
def test_steps_are_those_of_torch(steady: float, consistency: float) -> None:
    how = recipe(steady=steady, consistency=consistency)
    step = run(how)
    model, average = reference(how)
    for (name, ours), theirs in zip(step.model.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(
            ours, theirs, atol=1e-3, rtol=1e-2, msg=lambda said, name=name: f"{name}: {said}"
        )
    found = step.averaged()
    assert not found.training
    floats = [(n, v) for n, v in average.state_dict().items() if v.is_floating_point()]
    for name, theirs in floats:
        torch.testing.assert_close(found.state_dict()[name], theirs, atol=1e-3, rtol=1e-2)


def test_losses_are_the_sum_over_an_epoch() -> None:
    step = run(recipe(epochs=1))
    losses = dict(zip(step.names, step.read(step.losses()), strict=True))
    assert set(losses) == {"emotion", "adv", "soft", "hint"} and losses["adv"] == 0
    assert all(value > 0 for name, value in losses.items() if name != "adv")
    step.begin(generator(9))
    assert step.read(step.losses()) == [0.0] * 4
    more = run(recipe(epochs=1, consistency=1.0))
    assert (
        set(more.names) == {*losses, "consistency"}
        and dict(zip(more.names, more.read(more.losses()), strict=True))["consistency"] > 0
    )


def test_rounded_steps_give_the_weights_back() -> None:
    """They act as eight bits, and stay finer than that."""
    step = run(recipe(epochs=2), rounded=True)
    weight = step.model.mix.conv.weight[0].flatten()  # type: ignore[union-attr,index,operator]
    levels = weight / weight.abs().max() * 127
    assert (levels - levels.round()).abs().max() > 0.05
    assert weight.data_ptr() >= step.values.data_ptr()  # still a part of the one vector
    plain = run(recipe(epochs=2))
    assert not torch.equal(plain.values, step.values)
