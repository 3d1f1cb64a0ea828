"""Limits that the system sets, for tests of full disks."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest


@contextmanager
def files_of_at_most(size: int) -> Generator[None]:
    """As if the disk were full: no file of this process may grow beyond `size` bytes. On Windows the test skips."""
    if sys.platform == "win32":
        pytest.skip("no file size limit to set")
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
