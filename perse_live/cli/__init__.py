"""The command line `perse-live`: a module for each command, with its options and what it does.

The only package that knows all stages; each is imported inside the command that needs it, so that `drive` starts without torch.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from perse_live.threads import limit_native_threads


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and say how it went: `perse_live.cli.program.main`, whose loading may be interrupted as all else."""
    limit_native_threads()
    try:
        from perse_live.cli.program import main as run
    except KeyboardInterrupt:
        print("perse-live: interrupted", file=sys.stderr)
        return 1
    return run(arguments)
