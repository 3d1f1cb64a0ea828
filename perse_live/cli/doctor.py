"""`perse-live doctor`: what a live session needs, and what this machine has of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, arg

from perse_live.cli.console import print_json, printable, step_progress
from perse_live.cli.options import JsonSwitch, Network


@dataclass(frozen=True)
class Doctor:
    """Look at everything a live session needs, run its stages for three seconds, and say what is slow or missing."""

    avatar: Annotated[Path | None, arg(metavar="AVATAR")] = None
    """An avatar to draw in the trial, instead of a made-up head."""
    port: int = 8080
    """Where the page would be served."""
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
    with step_progress() as progress:
        findings = examine(port=command.port, progress=progress)
        result = trial(avatar, offline=command.network.offline, progress=progress)
    findings.append(judge(result))
    if command.json:
        print_json({"findings": [asdict(finding) for finding in findings], "trial": asdict(result)})
        return
    for finding in findings:
        print(f"{finding.status:<8} {finding.name}: {printable(finding.found)}")
        if finding.advice:
            print(f"{'':<9}-> {printable(finding.advice)}")
