"""Thread counts before NumPy is imported: one, as on a device, and so that figures compare."""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
