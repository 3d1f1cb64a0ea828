"""A thread pool that shares the steps of one picture."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

from perse_live.threads import name_this_thread


class Team:
    """The calling thread and its helpers.

    Numba's threads are not used: its portable layer aborts the process when two Python threads enter it at once, its OpenMP
    layer spins between calls and does not survive `fork`. Here, helper threads take only work that has not begun: a late
    helper costs nothing.
    """

    def __init__(self, threads: int) -> None:
        """threads: >= 1, including the calling thread."""
        self.threads = threads
        self._pool = None
        if threads > 1:
            self._pool = ThreadPoolExecutor(
                threads - 1, thread_name_prefix="splat", initializer=name_this_thread
            )

    def run(self, task: Callable[[int], None]) -> None:
        """Call task(0) in this thread and task(1) ... task(threads - 1) in free helpers, and wait for all.

        A task must take shares of the work until none is left, so that it is complete whichever of the calls are made.
        """
        helpers: list[Future[None]] = []
        if self._pool is not None:
            helpers = [self._pool.submit(task, member) for member in range(1, self.threads)]
        try:
            task(0)
        finally:
            unfinished = [helper for helper in helpers if not helper.cancel()]
            for helper in unfinished:
                helper.result()

    def split(self, count: int, run: Callable[[int, int], None]) -> None:
        """Call run(begin, end) for parts that together are 0 .. count, one for each thread."""
        claims = itertools.count()  # handed out one at a time under the interpreter's lock

        def task(_member: int) -> None:
            while (part := next(claims)) < self.threads:
                run(count * part // self.threads, count * (part + 1) // self.threads)

        self.run(task)


@cache
def team_of(threads: int) -> Team:
    """The process's team of a size: its helpers serve all rasterisers."""
    return Team(threads)
