"""The program: parses the command line, runs one command, returns its exit code.

Exit codes: 0 done, 2 bad usage or bad input, 1 anything else (interrupted too).
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import re
import select
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, subcommand

from perse_live.cli import (
    attributes,
    batch,
    bench,
    build,
    dataset,
    demo,
    doctor,
    drive,
    eval,
    export,
    info,
    live,
    render,
    report,
    serve,
    studio,
)
from perse_live.cli.console import logged_warnings, warn
from perse_live.errors import UserError
from perse_live.signals import ending_signals, interrupting

TRACEBACK_VARIABLE = "PERSE_LIVE_TRACEBACK"
"""Set to 1 to see where an unexpected error comes from."""

# On importing OpenCV or MediaPipe
_MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file")
_CREDENTIALS = re.compile(
    r"(turns?:)[^\s'\"]+|(?<!\w)(--tok\S*[ =])[^\s'\"]+", re.IGNORECASE
)  # in words that are not understood
_LIBRARY_PACKAGES = "libgl1 libegl1 libgles2 libglib2.0-0"

Command = (
    Annotated[studio.Studio, subcommand("studio")]
    | Annotated[demo.Demo, subcommand("demo")]
    | Annotated[build.Build, subcommand("build")]
    | Annotated[batch.Batch, subcommand("batch")]
    | Annotated[dataset.Dataset, subcommand("dataset")]
    | Annotated[drive.Drive, subcommand("drive")]
    | Annotated[render.Render, subcommand("render")]
    | Annotated[attributes.Attributes, subcommand("attribute")]
    | Annotated[export.Export, subcommand("export")]
    | Annotated[live.Live, subcommand("live")]
    | Annotated[serve.Serve, subcommand("serve")]
    | Annotated[info.Info, subcommand("info")]
    | Annotated[eval.Eval, subcommand("eval")]
    | Annotated[bench.Bench, subcommand("bench")]
    | Annotated[doctor.Doctor, subcommand("doctor")]
    | Annotated[report.Report, subcommand("report")]
)

AnyCommand = (
    studio.Studio
    | demo.Demo
    | build.Build
    | batch.Batch
    | dataset.Dataset
    | drive.Drive
    | render.Render
    | attributes.Attributes
    | export.Export
    | live.Live
    | serve.Serve
    | info.Info
    | eval.Eval
    | bench.Bench
    | doctor.Doctor
    | report.Report
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; prints errors. Returns the exit code.

    arguments: without the program's name; None: those of the process. An empty list starts the studio.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["studio"]
    if words == ["--version"]:
        print(f"perse-live {importlib.metadata.version('perse-live')}")
        return 0
    try:
        with ending_signals(interrupting()), logged_warnings():
            _run(_parse(words))
        if _reader_is_gone():
            return 1
    except SystemExit as stop:  # after --help
        return 1 if _reader_is_gone() else int(stop.code or 0)
    except UserError as error:
        return _fail(2, str(error))
    except KeyboardInterrupt:
        return _fail(1, "interrupted")
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            return 1
        if library := _MISSING_LIBRARY.search(str(error)):
            return _fail(
                2,
                f"the system library {library[1]} is missing: on Debian and Ubuntu,"
                f" apt-get install {_LIBRARY_PACKAGES}",
            )
        if _is_set(TRACEBACK_VARIABLE):
            raise
        return _fail(
            1,
            f"unexpected {type(error).__name__}: {error} ({TRACEBACK_VARIABLE}=1 shows where it comes from)",
        )
    return 0


def _reader_is_gone() -> bool:
    """Write out what is left of standard output; whether its reader, such as `head`, has ended. Then all else is dropped."""
    gone = False
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        gone = True
    with contextlib.suppress(OSError, ValueError):  # no file, under a test's capture
        if not gone and hasattr(select, "poll"):  # unbuffered output leaves nothing to be flushed
            poll = select.poll()
            poll.register(sys.stdout.fileno(), 0)
            gone = any(event & select.POLLERR for _, event in poll.poll(0))
        if gone:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())  # else the interpreter complains at its end
            os.close(nowhere)
    return gone


def _fail(code: int, message: str) -> int:
    warn(" ".join(message.split()))
    return code


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "") not in ("", "0")


def _parse(words: Sequence[str]) -> AnyCommand:
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            return tyro.cli(
                Command,
                prog="perse-live",
                description="One portrait becomes an avatar that moves.",
                args=words,
                config=(FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if stop.code:
            raise UserError(_usage_line(complaint.getvalue())) from None
        raise


def _usage_line(box: str) -> str:
    """The message of tyro's boxed error: the text between title and first rule, without the help on each option.

    Frames are of dashes and blanks where the terminal knows no others.
    """
    lines: list[str] = []
    for framed in box.splitlines()[1:]:
        line = framed.strip("│")
        if line.strip(" ─-╰╯"):
            if not line.startswith(" " * 8):
                lines.append(line.strip())
        elif lines:
            break
    shown = _CREDENTIALS.sub(
        lambda found: f"{found[1] or found[2]}***", " ".join(lines).rstrip(".")
    )
    return f"{shown or 'the command is not understood'}: see perse-live --help"


def _run(command: AnyCommand) -> None:
    match command:
        case studio.Studio():
            studio.run(command)
        case demo.Demo():
            demo.run(command)
        case build.Build():
            build.run(command)
        case batch.Batch():
            batch.run(command)
        case dataset.Dataset():
            dataset.run(command)
        case drive.Drive():
            drive.run(command)
        case render.Render():
            render.run(command)
        case attributes.Attributes():
            attributes.run(command)
        case export.Export():
            export.run(command)
        case live.Live():
            live.run(command)
        case serve.Serve():
            serve.run(command)
        case info.Info():
            info.run(command)
        case eval.Eval():
            eval.run(command)
        case bench.Bench():
            bench.run(command)
        case doctor.Doctor():
            doctor.run(command)
        case report.Report():
            report.run(command)
