"""Greedy layer-wise pretraining of convolutions as autoencoders (Bengio et al. 2007; Masci et al. 2011)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.errors import EdgeSerError
from edge_ser.models.mel_cnn import ConvStack

__all__ = ["pretrain_stack"]


def pretrain_stack(
    stack: ConvStack,
    images: np.ndarray,
    *,
    epochs: int = 50,
    batch: int = 64,
    lr: float = 1e-3,
    seed: int = 0,
    report: Callable[[dict[str, float]], None] | None = None,
) -> list[dict[str, float]]:
    """Fit each layer of a stack, the lowest first, to give back what the layers under it make of images.

    A transposed convolution decodes a layer and is thrown away afterwards; the layers under it stay as they are.

    Parameters
    ----------
    stack : ConvStack
        Changed in place.
    images : (n, h, w) float32
        No labels are used. Test images are none of them, or what is learnt of them leaks.
    epochs : int
        Of each layer; none leaves the stack as it is.
    batch : int
        At least 2, for batch normalisation.
    lr : float
        Of Adam.
    seed : int
        Of decoders and order.
    report : callable, optional
        Of each epoch's record.

    Returns
    -------
    list of dict
        ``epoch`` over all layers, ``layer`` from 1, ``loss`` (mean squared error).

    Raises
    ------
    EdgeSerError
        Fewer images than a batch needs, or a loss that is no number.
    """
    if images.ndim != 3 or len(images) < 2 or batch < 2:
        raise EdgeSerError(
            f"pretraining needs two images (n, h, w) and a batch of two at least, not {images.shape}"
        )
    torch.manual_seed(seed)
    stack.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    records: list[dict[str, float]] = []
    x = torch.from_numpy(np.asarray(images, np.float32))[:, None]
    for number in range(len(stack.widths)):
        decoder = nn.ConvTranspose2d(stack.widths[number], x.shape[1], 2, stride=2)
        optimiser = torch.optim.Adam([*stack[number].parameters(), *decoder.parameters()], lr=lr)
        for _ in range(epochs):
            loss = _epoch(
                stack, number, decoder, x, optimiser, batch, np.random.default_rng([seed, len(records)])
            )
            if not np.isfinite(loss):
                raise EdgeSerError(f"the loss of layer {number + 1} is no number: lower the rate")
            records.append({"epoch": len(records) + 1, "layer": number + 1, "loss": loss})
            if report is not None:
                report(records[-1])
        stack.eval()
        with torch.inference_mode():
            x = torch.cat([stack.stage(number, part) for part in x.split(batch)])
    stack.train()
    return records


def _epoch(
    stack: ConvStack,
    number: int,
    decoder: nn.Module,
    x: Tensor,
    optimiser: torch.optim.Optimizer,
    batch: int,
    rng: np.random.Generator,
) -> float:
    stack.train()
    total, seen = 0.0, 0
    for places in torch.from_numpy(rng.permutation(len(x))).split(batch):
        if len(places) < 2:
            continue
        part = x[places].clone()  # what inference mode has made takes no part in gradients
        code = stack.stage(number, part)
        back = decoder(code)
        loss = F.mse_loss(back, part[..., : back.shape[2], : back.shape[3]])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += float(loss.detach()) * len(places)
        seen += len(places)
    return total / seen
