"""Steps of listening between two marks, for an emulator that counts instructions; see `step_instructions.sh`."""

import os
import sys

from benchmarks import one_thread  # noqa: F401

STEPS = 40  # ten seconds


def main() -> None:
    """Run the pipeline of the engine that is named, the gate closed (``doze``) or open."""
    import numpy as np

    from edge_ser.bundle import load_bundle
    from firmware_py.engines import open_engine
    from firmware_py.pipeline import Pipeline

    engine, doze = sys.argv[1], sys.argv[2] == "doze"
    bundle = load_bundle("stream72k")
    pipeline = Pipeline(bundle, open_engine(bundle, engine), doze=doze)
    phase = np.arange(pipeline.step_samples, dtype=np.float64)
    sound = ((1e-5 if doze else 0.1) * np.sin(phase * phase * 1e-3)).astype(np.float32)
    for _ in range(4):
        pipeline.push(sound)
    os.getppid()
    for _ in range(STEPS):
        pipeline.push(sound)
    os.getppid()


if __name__ == "__main__":
    main()
