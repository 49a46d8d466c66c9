"""Half the bits where a processor computes in them."""

from __future__ import annotations

import functools

import torch

__all__ = ["bfloat16", "computes_bfloat16"]


@functools.cache
def computes_bfloat16(device: str = "cpu") -> bool:
    """Whether a kind of device has instructions that compute in bfloat16.

    Torch computes in it on any processor; one without the instructions (Intel's and AMD's AVX512-BF16 or AMX, Arm's
    BF16) converts back and forth, and takes several times as long as in float32.
    """
    if device == "cpu":
        return any(
            bool(has) for name, has in torch.cpu.get_capabilities().items() if name.split("_")[-1] == "bf16"
        )
    return device != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def bfloat16(device: str = "cpu", wanted: bool = True) -> torch.autocast:
    """A context in which convolutions and products compute in bfloat16 where that is wanted and faster."""
    return torch.autocast(device, torch.bfloat16, enabled=wanted and computes_bfloat16(device))
