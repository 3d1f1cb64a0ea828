"""Limits memory growth of long-running processes: settings of glibc's allocator, and garbage collection.

glibc gives each thread a separate arena and keeps freed memory in it. A session that switches avatars or records now and then
grows so by several MiB a minute without anything being leaked. Other C libraries need none of this, and nothing is done there.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from functools import cache

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h
_ARENAS = 2
# Bytes; more than a picture of 1280x720, so that those are not mapped again for every frame
_LARGE = 4 * 2**20


def keep_heap_small() -> None:
    """Use few arenas for all threads, and return arrays of an avatar's size to the system when they are freed.

    Call it before threads are started. Without a fixed threshold glibc raises its own, up to 32 MiB, with each large array that
    is freed. MALLOC_ARENA_MAX and MALLOC_MMAP_THRESHOLD_ in the environment win.
    """
    library = _glibc()
    if library is None:
        return
    if "MALLOC_ARENA_MAX" not in os.environ:
        library.mallopt(_M_ARENA_MAX, _ARENAS)
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)


def leave_out_of_collections() -> None:
    """Exclude all present objects from garbage collection: a quarter of a million after the imports.

    A full collection takes 0.1 s before, and milliseconds afterwards. Call it once all is loaded.
    """
    gc.freeze()


def return_free_memory() -> None:
    """Collect reference cycles, and return free memory to the system.

    PyAV's containers and streams refer to each other, so that every film that was read, and every recording, keeps its decoder or
    encoder, some ten MiB, until a full collection, which Python does not begin by itself for many minutes. Takes milliseconds
    after `leave_out_of_collections`, in which other threads wait.
    """
    gc.collect()
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    """The C library of this process, where that is glibc."""
    if sys.platform != "linux":
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
        return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None
    except OSError:  # musl
        return None
