"""Detects other users on this machine, who can reach loopback addresses too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from perse_live.child import installed_program

# User ids of people, as Linux distributions give them; below are services
_FIRST_PERSON, _NOBODY = (1000, 65534)
# User ids that systemd gives to services for as long as they run (DynamicUser=)
_DYNAMIC = range(61184, 65520)
_ANSWER_SECONDS = 3.0


def another_user(*, processes: Path = Path("/proc")) -> str:
    """The name of another person's account that has processes here; "" where there is none, or the system does not say.

    On Linux by the owners of all processes, on macOS by `who`; Windows is not asked. processes: Linux's folder of processes.
    """
    if sys.platform == "linux":
        return _owner_of_a_process(processes)
    if sys.platform == "darwin":
        return _logged_in()
    return ""


def _owner_of_a_process(processes: Path) -> str:
    assert sys.platform != "win32"
    import pwd

    try:
        entries = [entry for entry in os.scandir(processes) if entry.name.isdecimal()]
    except OSError:
        return ""
    for entry in entries:
        try:
            uid = entry.stat().st_uid
        except OSError:  # it has ended
            continue
        if (
            uid >= _FIRST_PERSON
            and uid != _NOBODY
            and uid not in _DYNAMIC
            and uid not in (os.getuid(), os.geteuid())
        ):
            try:
                return pwd.getpwuid(uid).pw_name
            except KeyError:  # no account here: a container's
                continue
    return ""


def _logged_in() -> str:
    assert sys.platform != "win32"
    import pwd

    who = installed_program("who", more_folders=("/usr/bin",))
    if who is None:
        return ""
    try:
        answer = subprocess.run(
            [who], capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    ours = pwd.getpwuid(os.getuid()).pw_name
    return next(
        (words[0] for line in answer.splitlines() if (words := line.split()) and words[0] != ours),
        "",
    )
