"""`perse-live batch`: an avatar of every row of a table."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Annotated

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tyro.conf import OmitArgPrefixes, Positional, arg

from perse_live.batch.job import Engine, Job, Outcome
from perse_live.batch.ledger import FILE, Entry, Ledger, file_hash, row_key
from perse_live.batch.report import CSV_FILE, PAGE_FILE, Result, summary, write_report
from perse_live.batch.table import Row, read_table
from perse_live.child import module_command
from perse_live.cli.console import print_written, printable, say, step_progress, user_name
from perse_live.cli.options import Network, Replacing
from perse_live.cli.shared import BUILDING_ASSETS, fetch, make_folder
from perse_live.errors import UserError
from perse_live.files import write_error
from perse_live.outputs import check_output_folder, check_outputs

_CORES = 1.0  # of a row: stages other than the training of looks keep one busy
_MEMORY = 2 << 30  # bytes of a row: the most that a build was seen to use is 1.2 GiB


@dataclass(frozen=True)
class Batch:
    """Build an avatar of every row of a table, with a report; finished rows are not built again."""

    table: Positional[Annotated[Path, arg(metavar="LIST.csv")]]
    """CSV with the columns photo, name and consent, and optionally looks and formats. photo: relative to the table; consent:
    yes, or the text to store in the avatar's file; looks: as of build --attributes; formats: as of export --formats."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
    """The folder for all avatars, contact sheets, further files, report.csv and report.html; made where it is missing."""
    jobs: int | None = None
    """Number of rows built at the same time; by default one per usable core, as far as memory allows."""
    ray: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """Let a Ray cluster do the work: `auto` for the one that this machine belongs to, HOST:PORT, ray://HOST:PORT, or `local` for
    a temporary one on this machine. Without it, local processes do the work."""
    replacing: OmitArgPrefixes[Replacing] = field(default_factory=Replacing)
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


def run(command: Batch) -> None:
    """Make all rows that can be made, and report. Raises UserError at the end where some could not."""
    from export.interchange import parse_formats
    from offline.looks.registry import DEFAULT_WORD, NONE_WORD, named

    if command.jobs is not None and command.jobs < 1:
        raise UserError(f"--jobs {command.jobs}: give 1 or more")
    rows, refused = read_table(
        command.table,
        declared_by=f"the user {user_name()}, by yes in {command.table.name}",
        looks=lambda words: () if list(words) == [NONE_WORD] else named(words or [DEFAULT_WORD]),
        formats=lambda words: parse_formats(",".join(words)) if words else (),
    )
    folder = make_folder(command.output).absolute()  # workers have other working directories
    ledger = Ledger(folder)
    inputs = [command.table, *(row.photo for row in rows)]
    check_output_folder(
        folder,
        [FILE, *(one for one in (CSV_FILE, PAGE_FILE) if not ledger.is_ours(one))],
        inputs=inputs,
        overwrite=command.replacing.overwrite,
    )
    results = [Result(one.line, one.name, one.photo, "refused", one.reason) for one in refused]
    waiting: dict[str, tuple[Row, str]] = {}
    program = f"perse-live {importlib.metadata.version('perse-live')}"
    for row in rows:
        key = row_key(row, program)
        if ledger.stands(row.name, key):
            results.append(_kept(row, ledger.entries[row.name]))
            continue
        try:
            _check_row_outputs(row, folder, ledger, inputs, overwrite=command.replacing.overwrite)
        except UserError as error:
            results.append(Result(row.line, row.name, str(row.photo), "refused", str(error)))
        else:
            waiting[row.name] = (row, key)
    for one in sorted(results, key=lambda one: one.line):
        say(_line(one))
    begun, workers = monotonic(), 1
    try:
        if waiting:
            with step_progress() as progress:
                # Once, before many workers need them
                fetch(BUILDING_ASSETS, command.network, progress)
            with (
                tempfile.TemporaryDirectory(dir=folder, prefix=".perse-live-batch-") as staging,
                _engine(command, Path(staging), len(waiting)) as engine,
                _progress(len(waiting)) as shown,
            ):
                workers = engine.workers
                jobs = [_job(row, command.network) for row, _ in waiting.values()]
                outcomes = engine.run(jobs, shown.step)
                try:
                    for outcome in outcomes:
                        row, key = waiting[outcome.job.name]
                        result = _settled(outcome, row, key, folder, ledger)
                        results.append(result)
                        shown.ended(result)
                finally:
                    outcomes.close()
    finally:  # after Ctrl-C too: finished rows are kept and reported
        ledger.add_reports(
            write_report(
                folder,
                f"Avatars of {command.table.name}",
                results,
                seconds=monotonic() - begun,
                workers=workers,
            )
        )
    say(f"{summary(results)} in {monotonic() - begun:.0f} s")
    print_written("report", folder / PAGE_FILE)
    bad = [one for one in results if one.state in ("refused", "failed")]
    if bad:
        raise UserError(
            f"{len(bad)} of {len(results)} rows were not made, the first in line {bad[0].line}: {bad[0].error}; the"
            f" report names all; run the same command again when they are mended"
        )


def _job(row: Row, network: Network) -> Job:
    return Job(
        row.name, str(row.photo.absolute()), row.consent, row.looks, row.formats, network.offline
    )


def _row_files(row: Row) -> list[str]:
    """Files that a row writes, except for the folder of the format web."""
    from export.interchange import WEB

    return [
        f"{row.name}.perse",
        f"{row.name}.png",
        *(f"{row.name}.{one}" for one in row.formats if one != WEB),
    ]


def _check_row_outputs(
    row: Row, folder: Path, ledger: Ledger, inputs: Sequence[Path], *, overwrite: bool
) -> None:
    from export.interchange import WEB
    from export.web.bundle import FILES, SUFFIX
    from perse_live.outputs import check_replaced_folder

    check_outputs(
        [folder / one for one in _row_files(row) if not ledger.is_ours(one)],
        inputs=inputs,
        overwrite=overwrite,
    )
    if WEB in row.formats:
        check_replaced_folder(
            folder / f"{row.name}{SUFFIX}", FILES, inputs=inputs, overwrite=overwrite
        )


def _settled(outcome: Outcome, row: Row, key: str, folder: Path, ledger: Ledger) -> Result:
    """Move a row's files to their places, the avatar last, and record them in the ledger."""
    result = Result(
        row.line, row.name, str(row.photo), "failed", outcome.error, outcome.seconds, outcome.tries
    )
    if outcome.made is None or outcome.folder is None:
        return result
    try:
        for part in sorted(outcome.folder.iterdir(), key=lambda one: one.suffix == ".perse"):
            target = folder / part.name
            if part.is_dir() and target.is_dir():
                shutil.rmtree(target)
            os.replace(part, target)
    except OSError as error:
        return replace(result, error=str(write_error(folder, error)))
    files = _files_of(row, folder)
    entry = Entry(
        key,
        {name: file_hash(folder / name) for name in files},
        outcome.seconds,
        outcome.made.warnings,
        outcome.made.figures,
    )
    ledger.add(row.name, entry)
    return replace(
        result,
        state="made",
        warnings=entry.warnings,
        figures=entry.figures,
        files=tuple(files),
        sheet=_sheet(row),
    )


def _files_of(row: Row, folder: Path) -> list[str]:
    from export.interchange import WEB
    from export.web.bundle import SUFFIX

    web = sorted((folder / f"{row.name}{SUFFIX}").iterdir()) if WEB in row.formats else []
    return [*_row_files(row), *(one.relative_to(folder).as_posix() for one in web)]


def _kept(row: Row, entry: Entry) -> Result:
    return Result(
        row.line,
        row.name,
        str(row.photo),
        "kept",
        seconds=entry.seconds,
        warnings=entry.warnings,
        figures=entry.figures,
        files=tuple(entry.files),
        sheet=_sheet(row),
    )


def _sheet(row: Row) -> str:
    return f"{row.name}.png"


@contextmanager
def _engine(command: Batch, staging: Path, rows: int) -> Generator[Engine, None, None]:
    if command.ray is not None:
        from perse_live.batch.cluster import RayEngine
        from perse_live.cli.batch_worker import make_files

        engine = RayEngine(
            make_files, command.ray, staging, jobs=command.jobs, cores=_CORES, memory=_MEMORY
        )
        try:
            yield engine
        finally:
            engine.close()
    else:
        from perse_live.batch.local import LocalEngine

        jobs = _usual_jobs() if command.jobs is None else command.jobs
        yield LocalEngine(module_command("perse_live.cli.batch_worker"), min(jobs, rows), staging)


def _usual_jobs() -> int:
    """Rows at the same time on this machine."""
    import psutil

    from runtime.doctor.machine import usable_cores

    return max(
        1, min(int(usable_cores() // _CORES), int(psutil.virtual_memory().available // _MEMORY))
    )


class _Shown:
    """Progress on stderr: a bar on a terminal; a line for each row, on stdout, everywhere."""

    def __init__(self, bars: Progress, rows: int) -> None:
        self._bars, self._rows = bars, rows
        self._done, self._begun = 0, monotonic()
        self._task = bars.add_task("rows", total=rows, left="")

    def step(self, job: Job, step: str, share: float) -> None:
        """Show the current step of a worker."""
        self._bars.update(self._task, description=printable(f"{job.name}: {step}"))

    def ended(self, result: Result) -> None:
        """Print the result of a row, and the time left for the others."""
        self._done += 1
        left = (monotonic() - self._begun) / self._done * (self._rows - self._done)
        words = f"about {_duration(left)} left" if self._done < self._rows else ""
        self._bars.update(self._task, completed=self._done, left=words)
        text = (
            f"{_line(result)} ({', '.join(filter(None, (f'{self._done} of {self._rows}', words)))})"
        )
        if self._bars.console.is_terminal:
            self._bars.print(text, markup=False, highlight=False, soft_wrap=True)  # above the bar
        else:
            say(text)


@contextmanager
def _progress(rows: int) -> Generator[_Shown, None, None]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        yield _Shown(bars, rows)


def _line(result: Result) -> str:
    how = (
        f" in {result.seconds:.0f} s"
        if result.state == "made"
        else f": {result.error}"
        if result.error
        else ""
    )
    return printable(f"line {result.line}: {result.name or 'no name'}: {result.state}{how}")


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
