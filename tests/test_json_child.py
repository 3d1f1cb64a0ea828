from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from perse_live.child import python_command
from perse_live.json_child import JsonChild

_ECHO = """
import json, os, sys
for line in sys.stdin:
    given = json.loads(line)
    print("no JSON", flush=True)
    print(json.dumps({**given, "folder": os.getcwd()}), flush=True)
    if given.get("end"):
        print("first", file=sys.stderr)
        print("last words", file=sys.stderr)
        sys.exit(3)
"""


def test_lines_go_to_and_fro_and_the_end_is_told() -> None:
    child = JsonChild(python_command(_ECHO))
    try:
        child.send({"number": 1})
        first = next(iter(child.answers()))
        assert first["number"] == 1
        assert os.listdir(str(first["folder"])) == []
        child.send({"number": 2, "end": True})
        assert [one["number"] for one in child.answers()] == [2]
        assert child.wait() == 3 and not child.alive
        assert child.stderr_tail() == ["first", "last words"]
        child.send({"number": 3})  # nobody hears it
    finally:
        child.close()
    child.close()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="process groups")
def test_what_a_child_has_started_ends_with_it_though_both_are_deaf_to_sigterm() -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    code = (
        f"import json, subprocess, sys; {deaf}"
        f"other = subprocess.Popen([sys.executable, '-c', {deaf + 'time.sleep(600)'!r}]); "
        "print(json.dumps({'other': other.pid}), flush=True); time.sleep(600)"
    )
    child = JsonChild(python_command(code))
    answer = next(iter(child.answers()))
    folder = Path(f"/proc/{child.pid}/cwd").resolve() if Path("/proc/self").exists() else None
    child.close()
    deadline = time.monotonic() + 30
    while (
        psutil.pid_exists(int(answer["other"]))
        and psutil.Process(int(answer["other"])).status() != psutil.STATUS_ZOMBIE
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not child.alive and (folder is None or not folder.exists())
