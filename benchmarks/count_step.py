"""Steps of listening between two marks, for an emulator that counts instructions; see `step_instructions.sh`."""

import os
import sys

from benchmarks import one_thread  # noqa: F401


def main() -> None:
    """``MODEL ENGINE STEPS open|doze``: run so many steps of a model's pipeline, the gate open or closed."""
    import numpy as np

    from edge_ser.bundle import load_bundle
    from firmware_py.engines import open_engine
    from firmware_py.pipeline import Pipeline

    model, engine, steps, doze = *sys.argv[1:3], int(sys.argv[3]), sys.argv[4] == "doze"
    bundle = load_bundle(model)
    pipeline = Pipeline(bundle, open_engine(bundle, engine), doze=doze)
    phase = np.arange(pipeline.step_samples, dtype=np.float64)
    sound = ((1e-5 if doze else 0.1) * np.sin(phase * phase * 1e-3)).astype(np.float32)
    # What never changes is noise to the gate, and nobody asks whether it is speech.
    sound[: len(sound) // 2] *= 0.01
    for _ in range(min(4, steps)):
        heard = pipeline.push(sound)
    if (heard[-1].state == "silence") != doze:
        raise SystemExit(f"the gate is not {sys.argv[4]}")
    os.getppid()
    for _ in range(steps):
        pipeline.push(sound)
    os.getppid()


if __name__ == "__main__":
    main()
