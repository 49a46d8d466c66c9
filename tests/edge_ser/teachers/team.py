"""``edge-ser label`` with one more kind of teacher, to be started by torchrun."""

from __future__ import annotations

import os
import sys

import numpy as np
import torch

from edge_ser.cli import main
from edge_ser.teachers.registry import TEACHERS, Kind
from edge_ser.teachers.targets import Targets
from tests.edge_ser.teachers.small import Counting


class Network(Counting):
    """Its answers come from torch; it prints who hears."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Tanh(), torch.nn.Linear(64, 11))
        generator = torch.Generator().manual_seed(1)
        for value in self.layers.parameters():
            torch.nn.init.normal_(value, generator=generator)

    def targets(self, wave: np.ndarray) -> Targets:
        rank, size = (os.environ.get(name) for name in ("RANK", "WORLD_SIZE"))
        print(f"heard by rank {rank} of {size} with {torch.get_num_threads()} thread", flush=True)
        facts = torch.tensor(
            [wave.mean(), wave.std(), np.abs(wave).max(), len(wave) / 16000], dtype=torch.float32
        )
        with torch.no_grad():
            y = self.layers(facts).numpy()
        return Targets(y[:3], y[3:6], y[6:])


if __name__ == "__main__":
    TEACHERS["network"] = Kind(lambda sources: Network(), "", ("x",))
    sys.exit(main(["label", *sys.argv[1:]]))
