"""Workers on a Ray cluster: photos go out, files come back, once each; nodes need perse-live, no shared folder.

Ray runs a task again when its worker dies, its node is lost or its memory is full. A worker process is kept for many rows, so
that the builder is loaded once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from perse_live.batch.job import MAX_TRIES, Job, Made, Maker, Outcome
from perse_live.batch.local import attempt
from perse_live.errors import UserError
from perse_live.extras import missing_extra
from perse_live.threads import limit_native_threads

THIS_MACHINE = "local"
"""Address of a temporary local Ray, which ends with the batch."""
# Prefix of the folders in which tasks work, in the nodes' temporary folder
_FOLDERS = "perse-live-batch-"
_SWEEP_SECONDS = 20.0  # that nodes get at the end to remove what killed workers left
_AHEAD = 2  # tasks handed to Ray for each that can run: more would only fill its object store with photos

Files = dict[str, bytes]
"""Content by path relative to the job's folder, with slashes."""


class RayEngine:
    """Workers of a Ray cluster. Close it at the end."""

    def __init__(
        self,
        maker: Maker,
        address: str,
        staging: Path,
        *,
        jobs: int | None,
        cores: float,
        memory: int,
    ) -> None:
        """Connect to a cluster, or start one.

        maker: a function that the nodes can import. address: `THIS_MACHINE`, auto, HOST:PORT or ray://HOST:PORT. staging: an
        existing folder for files of rows that have been made. jobs: how many at the same time; None: as many as fit. cores,
        memory: reserved by Ray for each job, the latter in bytes. Raises UserError where there is no Ray, or no such cluster.
        """
        # Else a Ray that we start reports to its makers
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Tasks without GPUs see the machine as it is
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ModuleNotFoundError as error:
            raise missing_extra("--ray", "cluster", error) from error
        self._ray: Any = ray
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address == THIS_MACHINE:
            options |= {
                "include_dashboard": False,
                "num_cpus": None if jobs is None else max(1, round(jobs * cores)),
            }
        try:
            ray.init(address=address, **options)
            there: Mapping[str, float] = ray.cluster_resources()
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            cause = next(iter(str(error).splitlines()), repr(error))
            raise UserError(
                f"there is no Ray cluster at {address} ({cause}): start one with ray start --head, or say --ray"
                f" {THIS_MACHINE}"
            ) from error
        fit = int(there.get("CPU", 0) // cores)
        if fit < 1:
            ray.shutdown()
            raise UserError(
                f"the Ray cluster at {address} has {there.get('CPU', 0):g} cores, and a row takes {cores:g}"
            )
        self.workers = fit if jobs is None else min(jobs, fit)
        self._staging = staging
        self._batch = uuid.uuid4().hex
        self._task: Any = ray.remote(num_cpus=cores, memory=memory, max_retries=MAX_TRIES - 1)(
            _make
        )
        self._maker = maker

    def run(
        self, jobs: Sequence[Job], report: Callable[[Job, str, float], None]
    ) -> Generator[Outcome, None, None]:
        """The outcomes of all jobs as they come; see `Engine`. Workers of a cluster report only their end."""
        waiting, running = list(reversed(jobs)), dict[Any, tuple[Job, float]]()
        number = 0
        try:
            while waiting or running:
                while waiting and len(running) < _AHEAD * self.workers:
                    job = waiting.pop()
                    try:
                        photo = Path(job.photo).read_bytes()
                    except OSError as error:
                        yield Outcome(job, None, f"{job.photo} cannot be read: {error.strerror}")
                        continue
                    running[self._task.remote(self._maker, job, photo, self._batch)] = (
                        job,
                        time.monotonic(),
                    )
                if not running:
                    continue
                ready, _ = self._ray.wait(list(running), num_returns=1)
                job, begun = running.pop(ready[0])
                number += 1
                folder = self._staging / str(number)
                yield self._outcome(job, ready[0], begun, folder)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            for one in running:
                self._ray.cancel(one, force=True)

    def close(self) -> None:
        """Leave the cluster, or end the one that was started; nodes first remove what killed workers left there."""
        try:
            self._sweep_nodes()
        finally:
            self._ray.shutdown()

    def _sweep_nodes(self) -> None:
        affinity = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        sweeps = [
            self._ray.remote(num_cpus=0)(_sweep)
            .options(scheduling_strategy=affinity(node["NodeID"], soft=False))
            .remote(self._batch)
            for node in self._ray.nodes()
            if node["Alive"]
        ]
        if sweeps:
            self._ray.wait(sweeps, num_returns=len(sweeps), timeout=_SWEEP_SECONDS)

    def _outcome(self, job: Job, done: Any, begun: float, folder: Path) -> Outcome:
        try:
            made, error, seconds, files = cast(
                "tuple[Made | None, str, float, Files]", self._ray.get(done)
            )
        except self._ray.exceptions.RayError as problem:
            cause = next(iter(str(problem).splitlines()), type(problem).__name__)
            return Outcome(
                job, None, f"its workers died: {cause}", time.monotonic() - begun, MAX_TRIES
            )
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return Outcome(job, made, error, seconds, folder=folder)


def _make(
    maker: Maker, job: Job, photo: bytes, batch: str
) -> tuple[Made | None, str, float, Files]:
    """A task: on a node, in a separate folder."""
    limit_native_threads()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDERS}{batch}-") as name:
        source, folder = Path(name, "photo"), Path(name, "made")
        source.mkdir()
        folder.mkdir()
        here = source / Path(job.photo).name
        here.write_bytes(photo)
        made, error = attempt(
            maker,
            Job(job.name, str(here), job.consent, job.looks, job.formats, job.offline),
            folder,
            lambda *_: None,
        )
        error = error.replace(str(here), job.photo)
        files = {
            one.relative_to(folder).as_posix(): one.read_bytes()
            for one in sorted(folder.rglob("*"))
            if one.is_file()
        }
    return made, error, time.monotonic() - begun, {} if made is None else files


def _sweep(batch: str) -> None:
    """A task: remove the folders of a batch, which a worker that is killed cannot do itself."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDERS}{batch}-*"):
        shutil.rmtree(folder, ignore_errors=True)
