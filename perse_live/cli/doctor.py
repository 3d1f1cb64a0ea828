"""`perse-live doctor`: what a live session needs, and what this machine has of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, arg

from perse_live.cli.console import print_json, printable, step_progress
from perse_live.cli.options import JsonSwitch, Network

if TYPE_CHECKING:
    from perse_live.avatar import Avatar
    from runtime.doctor.finding import Finding


@dataclass(frozen=True)
class Doctor:
    """Check everything that a live session needs, run its stages for three seconds, and report what is slow or missing."""

    avatar: Annotated[Path | None, arg(metavar="AVATAR")] = None
    """An avatar to draw in the trial, instead of a synthetic head."""
    gpu: bool = False
    """Run the whole GPU path instead: compile gsplat, compare its pictures with the CPU's, draw with each engine, count
    synchronisations, time frames. Ends with exit code 1 where something fails or there is no GPU."""
    port: int = 8080
    """Port that the page would be served on."""
    json: JsonSwitch = False
    """Print one JSON object instead of a table."""
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


def run(command: Doctor) -> None:
    """Examine this machine, and print what was found."""
    from runtime.doctor.examination import examine
    from runtime.doctor.trial import judge, trial

    avatar = None
    if command.avatar is not None:
        from perse_live.avatar import load_avatar

        avatar = load_avatar(command.avatar)
    if command.gpu:
        _run_gpu(command, avatar)
        return
    with step_progress() as progress:
        findings = examine(port=command.port, progress=progress)
        result = trial(avatar, offline=command.network.offline, progress=progress)
    findings.append(judge(result))
    if command.json:
        print_json({"findings": [asdict(finding) for finding in findings], "trial": asdict(result)})
        return
    _print(findings)


def _run_gpu(command: Doctor, avatar: Avatar | None) -> None:
    from perse_live.engines.folder import default_engine_folder
    from runtime.doctor.gpu import examine_gpu, gpu_missing

    if missing := gpu_missing():
        if command.json:
            print_json({"gpu": False, "obstacle": missing, "findings": []})
        else:
            print(f"no GPU to examine: {missing}")
        raise SystemExit(1)
    with step_progress() as progress:
        findings = examine_gpu(
            avatar,
            default_engine_folder(command.avatar or Path("synthetic.perse")),
            progress=progress,
        )
    if command.json:
        print_json(
            {"gpu": True, "obstacle": "", "findings": [asdict(finding) for finding in findings]}
        )
    else:
        _print(findings)
    if any(finding.status == "problem" for finding in findings):
        raise SystemExit(1)


def _print(findings: Sequence[Finding]) -> None:
    for finding in findings:
        print(f"{finding.status:<8} {finding.name}: {printable(finding.found)}")
        if finding.advice:
            print(f"{'':<9}-> {printable(finding.advice)}")
