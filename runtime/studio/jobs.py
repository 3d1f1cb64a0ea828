"""The queue of jobs: one runs at a time, in a separate process; any can be cancelled; pages read their progress."""

from __future__ import annotations

import itertools
import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from perse_live.errors import UserError
from perse_live.threads import name_this_thread
from runtime.studio.child import Child, Spare, inside

_log = logging.getLogger(__name__)
_SPARE_SECONDS = 240.0
_MAX_WAITING = 20
_FINISHED_KEPT = 30  # jobs that have ended and are still shown
_LONGEST_TEXT = 400  # characters of what a child reports

Kind = Literal["build", "looks", "look-from-photo", "look-from-text", "previews"]
State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, eq=False)
class Task:
    """The work of a job."""

    kind: Kind
    title: str
    """Display name of the result."""
    command: Callable[[], Sequence[str]]
    """The command line, made when it begins: what it is about may have another name by then; empty where there is nothing left to
    do. Raises UserError."""
    folder: Path
    """Where its pictures go."""
    background: bool = False
    """Whether other jobs interrupt it; it is restarted after them."""
    gives_way: Callable[[], bool] = lambda: True
    """Whether its process lets a live session on the same cores go first; asked when it begins."""
    keeps_folder: bool = False
    """Whether the folder stays when the job is forgotten."""
    avatar: str = ""
    """Id of the avatar that it changes; "" for one that is not there yet."""
    reported: Callable[[Mapping[str, Any]], None] = lambda _: None
    """Called with each report of the child other than progress."""
    done: Callable[[], str] = lambda: ""
    """Called after success, before the state changes; returns the id of the resulting avatar. Raises UserError."""
    over: Callable[[], None] = lambda: None
    """Called when it has ended, however it did."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """For the page."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """Replacements for internal paths in the child's messages."""

    def plain(self, text: str) -> str:
        """A message of the child with internal paths replaced."""
        for ours, theirs in self.names.items():
            text = text.replace(ours, theirs)
        return text


class Job:
    """A task in the queue; its fields change while it runs, on the queue's thread."""

    def __init__(self, job_id: str, task: Task) -> None:
        self.id, self.task = job_id, task
        self.state: State = "queued"
        self.step, self.share = "", 0.0
        self.pictures: list[dict[str, str]] = []
        self.warnings: list[str] = []
        self.error = ""
        self.result = ""
        self.asked = time.time()
        self.began: float | None = None
        self.ended: float | None = None
        self.left: float | None = None
        self.cancelled = self.gives_way = False
        self.child: Child | None = None

    @property
    def waiting(self) -> bool:
        """Whether it has not ended yet."""
        return self.state in ("queued", "running")

    def to_json(self) -> dict[str, object]:
        """As a JSON object; see docs/live-api.md."""
        return {
            "id": self.id,
            "kind": self.task.kind,
            "title": self.task.title,
            "avatar": self.task.avatar,
            "state": self.state,
            "step": self.step,
            "share": round(self.share, 3),
            "left": None if self.left is None else round(self.left, 1),
            "pictures": list(self.pictures),
            "warnings": list(self.warnings),
            "error": self.error,
            "result": self.result,
            "seconds": round((self.ended or time.time()) - self.began, 1) if self.began else 0.0,
            **self.task.facts,
        }


class Jobs:
    """The queue and its thread; thread-safe. Close it at the end."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """changed: called, on any thread, when something about a job is different."""
        self._changed = changed
        self._changing = threading.Condition()
        self._jobs: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self._closing = False
        self._spare = Spare(_SPARE_SECONDS)
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def prepare(self) -> None:
        """Have a process ready for the next job: somebody is about to ask for one."""
        self._spare.prepare()

    def add(self, task: Task) -> Job:
        """Queue a task. Raises UserError where too many wait."""
        with self._changing:
            if sum(job.waiting for job in self._jobs.values()) >= _MAX_WAITING:
                raise UserError(f"{_MAX_WAITING} jobs wait already: let some of them end first")
            job = Job(str(next(self._numbers)), task)
            self._jobs[job.id] = job
            self._forget_old()
            if not task.background:
                self._interrupt_background()
            self._changing.notify_all()
        self._changed()
        return job

    def get(self, job_id: str) -> Job:
        """A job by its id. Raises UserError where there is none."""
        found = self._jobs.get(job_id)
        if found is None:
            raise UserError("there is no such job: it may have ended long ago")
        return found

    def cancel(self, job_id: str) -> None:
        """Take a job out of the queue, or end it; one that has ended is not shown any more."""
        job = self.get(job_id)
        with self._changing:
            if not job.waiting:
                self._jobs.pop(job_id, None)
                self._clear(job)
            else:
                job.cancelled = True
                if job.state == "queued":
                    self._end(job, "cancelled")
            child = job.child
        if child is not None:
            child.kill()
        self._changed()

    def busy_with(self, avatar: str) -> bool:
        """Whether a job waits or runs that changes an avatar."""
        return bool(avatar) and any(
            job.waiting and job.task.avatar == avatar for job in list(self._jobs.values())
        )

    def to_json(self) -> list[dict[str, object]]:
        """All jobs as JSON objects, in the order in which they were asked for."""
        return [job.to_json() for job in list(self._jobs.values())]

    def picture(self, job_id: str, name: str) -> Path:
        """A picture that a job has made. Raises UserError where there is none of that name."""
        job = self.get(job_id)
        path = (
            inside(job.task.folder, name)
            if any(one["file"] == name for one in job.pictures)
            else None
        )
        if path is None:
            raise UserError("there is no such picture")
        return path

    def close(self) -> None:
        """Cancel everything and end the thread."""
        with self._changing:
            self._closing = True
            for job in self._jobs.values():
                job.cancelled |= job.waiting
            children = [job.child for job in self._jobs.values() if job.child is not None]
            self._changing.notify_all()
        for child in children:
            child.kill()
        self._thread.join()
        self._spare.close()
        for job in self._jobs.values():
            self._clear(job)

    # ----- the thread

    def _work(self) -> None:
        name_this_thread()
        while (job := self._next()) is not None:
            try:
                self._run(job)
            except Exception as error:
                _log.exception("a job has failed")
                self._end(job, "failed", f"unexpected {type(error).__name__}: {error}")
            self._changed()

    def _next(self) -> Job | None:
        with self._changing:
            while True:
                if self._closing:
                    return None
                waiting = [job for job in self._jobs.values() if job.state == "queued"]
                if waiting:
                    # The first of those that do not give way
                    job = min(waiting, key=lambda one: one.task.background)
                    job.state, job.began, job.gives_way = "running", time.time(), False
                    return job
                self._changing.wait()

    def _interrupt_background(self) -> None:
        """End the job that runs, where it gives way."""
        for job in self._jobs.values():
            if job.state == "running" and job.task.background:
                job.gives_way = True
                if job.child is not None:
                    threading.Thread(target=job.child.kill, daemon=True).start()  # takes a moment

    def _run(self, job: Job) -> None:
        self._changed()
        try:
            arguments = job.task.command()
        except UserError as error:
            self._end(job, "failed", str(error))
            return
        if not arguments:
            self._end(job, "done")
            return
        child = self._spare.take()
        if job.task.gives_way():
            child.give_way()
        with self._changing:
            job.child = child
        try:
            stopped = job.cancelled or job.gives_way
            problem = (
                "it was cancelled"
                if stopped
                else child.run(arguments, lambda report: self._report(job, report))
            )
        finally:
            with self._changing:
                job.child = None
            child.close()
        if job.cancelled:
            self._end(job, "cancelled")
        elif problem and job.gives_way:
            job.state = "queued"
        elif problem:
            self._end(job, "failed", problem)
        else:
            try:
                job.result = job.task.done()
            except UserError as error:
                self._end(job, "failed", str(error))
            else:
                self._end(job, "done")

    def _report(self, job: Job, report: Mapping[str, Any]) -> None:
        step, share, left = (report.get(key) for key in ("step", "share", "left"))
        if isinstance(step, str) and isinstance(share, int | float):
            job.step = step[:_LONGEST_TEXT]
            job.share = min(max(float(share), 0.0), 1.0)
            job.left = float(left) if isinstance(left, int | float) else None
        if (picture := inside(job.task.folder, report.get("picture"))) is not None:
            job.pictures.append({"name": str(report.get("stage", ""))[:80], "file": picture.name})
        if isinstance(warning := report.get("warning"), str):
            job.warnings.append(job.task.plain(warning)[:_LONGEST_TEXT])
        if "step" not in report:
            try:
                job.task.reported(report)
            except UserError as error:
                job.warnings.append(str(error))
        self._changed()

    def _end(self, job: Job, state: State, error: str = "") -> None:
        job.error, job.ended, job.left = job.task.plain(error), time.time(), None
        job.state = state
        if state == "done":
            job.share = 1.0
        try:
            job.task.over()
        except (UserError, OSError) as failure:
            _log.warning("after a job: %s", failure)

    def _forget_old(self) -> None:
        ended = [job for job in self._jobs.values() if not job.waiting]
        for job in ended[: max(0, len(ended) - _FINISHED_KEPT)]:
            self._jobs.pop(job.id)
            self._clear(job)

    def _clear(self, job: Job) -> None:
        if not job.task.keeps_folder:
            shutil.rmtree(job.task.folder, ignore_errors=True)
