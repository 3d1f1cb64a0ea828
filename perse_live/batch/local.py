"""Workers on this machine: one process each, reused for many rows so that the builder is loaded once.

A worker reads jobs as lines of JSON from stdin and answers with lines of JSON on stdout. It ends when its stdin closes, so that
none outlives the batch.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, cast

from perse_live.batch.job import MAX_TRIES, Job, Made, Maker, Outcome
from perse_live.errors import UserError
from perse_live.json_child import JsonChild


class LocalEngine:
    """Worker processes on this machine."""

    def __init__(self, command: Sequence[str], workers: int, staging: Path) -> None:
        """command: starts a worker (`serve`); workers: >= 1; staging: an existing folder for files of rows being made."""
        self.workers = workers
        self._command, self._staging = list(command), staging

    def run(
        self, jobs: Sequence[Job], report: Callable[[Job, str, float], None]
    ) -> Generator[Outcome, None, None]:
        """The outcomes of all jobs as they come; see `Engine`."""
        waiting: SimpleQueue[tuple[Job, int]] = SimpleQueue()
        for job in jobs:
            waiting.put((job, 1))
        ended: SimpleQueue[Outcome] = SimpleQueue()
        crew = [
            _Crew(self._command, self._staging / str(number), waiting, ended, report)
            for number in range(min(self.workers, len(jobs)))
        ]
        try:
            for _ in jobs:
                outcome = ended.get()
                yield outcome
                if outcome.folder is not None:
                    shutil.rmtree(outcome.folder, ignore_errors=True)
        finally:
            for one in crew:
                one.close()


class _Crew:
    """A thread with one worker process, which is restarted when it dies."""

    def __init__(
        self,
        command: list[str],
        folder: Path,
        waiting: SimpleQueue[tuple[Job, int]],
        ended: SimpleQueue[Outcome],
        report: Callable[[Job, str, float], None],
    ) -> None:
        self._command, self._folder, self._waiting, self._ended, self._report = (
            command,
            folder,
            waiting,
            ended,
            report,
        )
        self._changing = threading.Lock()
        self._closing = threading.Event()
        self._worker: _Worker | None = None
        self._thread = threading.Thread(target=self._work, name="batch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the worker, whatever it does."""
        with self._changing:
            self._closing.set()
            worker = self._worker
        if worker is not None:
            worker.close()
        self._thread.join()

    def _work(self) -> None:
        number = 0
        while not self._closing.is_set():
            try:
                job, tries = self._waiting.get(timeout=0.5)  # a row of another worker may come back
            except Empty:
                continue
            number += 1
            folder = self._folder / str(number)
            begun = time.monotonic()
            try:
                folder.mkdir(parents=True)
                worker = self._ready()
                if worker is None:
                    return
                made, error = worker.make(
                    job, folder, lambda step, share, job=job: self._report(job, step, share)
                )
            except _DiedError as death:
                self._forget()
                shutil.rmtree(folder, ignore_errors=True)
                if self._closing.is_set():
                    return
                if tries < MAX_TRIES:
                    # Behind all others, when memory may be free
                    self._waiting.put((job, tries + 1))
                    continue
                made, error = None, f"its worker died {MAX_TRIES} times, the last time {death}"
            except Exception as problem:
                # such as no memory for another process; the batch must not wait for ever
                made, error = None, f"no worker could do it: {type(problem).__name__}: {problem}"
            self._ended.put(Outcome(job, made, error, time.monotonic() - begun, tries, folder))

    def _ready(self) -> _Worker | None:
        """The worker, started where there is none; None during shutdown."""
        with self._changing:
            if self._closing.is_set():
                return None
            if self._worker is None:
                self._worker = _Worker(self._command)
            return self._worker

    def _forget(self) -> None:
        with self._changing:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()


class _DiedError(Exception):
    """A worker has ended during a job; the text says how."""


class _Worker:
    """One process."""

    def __init__(self, command: Sequence[str]) -> None:
        self._child = JsonChild(command)

    def make(
        self, job: Job, folder: Path, report: Callable[[str, float], None]
    ) -> tuple[Made | None, str]:
        """Result of a job, or why it failed. Raises _DiedError."""
        self._child.send({"job": asdict(job), "folder": str(folder)})
        for answer in self._child.answers():
            if "step" in answer:
                report(str(answer["step"]), float(answer["share"]))
            elif "error" in answer:
                return None, str(answer["error"])
            elif "made" in answer:
                made = cast("dict[str, Any]", answer["made"])
                return Made(tuple(made["warnings"]), dict(made["figures"])), ""
        code, lines = self._child.wait(), self._child.stderr_tail()
        how = (
            f"by signal {-code}; perhaps by lack of memory: give fewer --jobs"
            if code < 0
            else f"with code {code}"
        )
        raise _DiedError(" ".join([how, *(f"({line})" for line in lines[-1:])]))

    def close(self) -> None:
        """End it, whatever it does."""
        self._child.close()


def serve(maker: Maker) -> None:
    """Be a worker: make the jobs that come on stdin until it is closed. What is printed meanwhile goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(
        target=_listen, args=(sys.stdin.buffer, lines), name="orders", daemon=True
    ).start()

    def answer(**content: object) -> None:
        answers.write(json.dumps(content, allow_nan=False).encode() + b"\n")

    while True:
        order: dict[str, Any] = json.loads(lines.get())
        details = cast("dict[str, Any]", order["job"])
        job = Job(
            details["name"],
            details["photo"],
            details["consent"],
            tuple(details["looks"]),
            tuple(details["formats"]),
            details["offline"],
        )
        made, error = attempt(
            maker, job, Path(order["folder"]), lambda step, share: answer(step=step, share=share)
        )
        if made is None:
            answer(error=error)
        else:
            answer(made=asdict(made))


def attempt(
    maker: Maker, job: Job, folder: Path, report: Callable[[str, float], None]
) -> tuple[Made | None, str]:
    """Result of a job, or in one line why it failed."""
    try:
        return maker(job, folder, report), ""
    except UserError as error:
        return None, " ".join(str(error).split())
    except MemoryError:
        raise  # the worker dies, and the row is tried again
    except Exception as error:
        return None, " ".join(f"unexpected {type(error).__name__}: {error}".split())


def _listen(stdin: IO[bytes], lines: SimpleQueue[bytes]) -> None:
    """Hand on lines; the process ends with its stdin, in the middle of a job too."""
    for line in stdin:
        lines.put(line)
    os._exit(0)
