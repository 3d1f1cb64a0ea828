"""Thread counts and waiting policy of native libraries, for every command and its children.

The linear algebra of this project is of matrices with a few hundred rows. A second BLAS thread brings nothing there, and the
idle workers of OpenBLAS spin for 0.1 s after each product: in a live session that is most of a core. Torch takes MKL's number for
its own, so that it has one thread too, and OpenMP's threads sleep while they wait. Sixty steps of Adam on 20,000 rows next to
other work, on two cores: 41 s of wall time and 12.5 s of processor time by default, 8.6 and 1.9 with two threads that sleep, 6.7
and 1.8 with one.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading

_BLAS_VARIABLES = {
    "OPENBLAS_NUM_THREADS": "openblas",  # numpy, scipy and OpenCV bring a copy each
    "MKL_NUM_THREADS": "mkl",
    "BLIS_NUM_THREADS": "blis",
    "VECLIB_MAXIMUM_THREADS": "",  # Apple's Accelerate, which threadpoolctl does not know
}
"""What each BLAS library reads when it is loaded, and threadpoolctl's name of the library."""
_LONGEST_NAME = 15  # bytes, by Linux (TASK_COMM_LEN)
_ALL_LIBRARIES = "OMP_NUM_THREADS"  # BLAS libraries fall back to it
_OPENMP_VARIABLES = {
    "OMP_WAIT_POLICY": "PASSIVE",  # of the OpenMP standard; GNU's libgomp and LLVM's libomp read it
    "KMP_BLOCKTIME": "0",  # milliseconds for which LLVM's and Intel's libraries spin after a parallel region
}


def limit_native_threads() -> None:
    """Apply the policy to what this process and its children load from here on, and to a BLAS that is loaded already.

    Call it before numpy is imported. A variable that the user has set wins: OMP_NUM_THREADS for all libraries, any other for its
    own.
    """
    for name, value in _OPENMP_VARIABLES.items():
        os.environ.setdefault(name, value)
    if _ALL_LIBRARIES in os.environ:
        return
    free = [name for name in _BLAS_VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(free, "1"))
    if "numpy" in sys.modules:  # its BLAS has read the variables
        from threadpoolctl import ThreadpoolController

        libraries = [_BLAS_VARIABLES[name] for name in free]
        ThreadpoolController().select(internal_api=libraries).limit(limits=1)


def name_this_thread() -> None:
    """Give the calling thread its Python name in the system's lists too (`top -H`); native threads that it starts inherit it.

    Python does so from 3.14 on. On Linux only, where names have at most 15 bytes; elsewhere nothing happens.
    """
    path = f"/proc/self/task/{threading.get_native_id()}/comm"
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        file.write(threading.current_thread().name.encode()[:_LONGEST_NAME])
