"""One live session in a separate process: what `perse-live serve` starts for each.

Reads one line of JSON from stdin, says `{"ready": URL}` and `{"warning": TEXT}` in lines of JSON on stdout, and ends when its
stdin does: the server has gone, or has ended the session. Tokens come by stdin, as other users see command lines.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from perse_live.threads import limit_native_threads

_MOST = 1 << 20  # characters of the line
_PATIENCE = 3.0  # seconds to end normally


def main() -> int:
    """Read the wish, and run the session. Returns the exit code."""
    limit_native_threads()
    line = sys.stdin.readline(_MOST)
    if not line.strip():
        return 0
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    wish = json.loads(line)
    from perse_live.cli.console import logged_warnings
    from perse_live.cli.live import sharing
    from perse_live.errors import UserError
    from perse_live.memory import keep_heap_small
    from runtime.live.run import LiveOptions, run_live, web_config
    from runtime.live.settings import load_settings
    from runtime.web.server import WebConfig

    keep_heap_small()
    try:
        with logged_warnings():
            settings = load_settings(None if wish["settings"] is None else Path(wish["settings"]))
            web = WebConfig(
                port=0,
                token=wish["token"],
                viewer_token=wish["viewer_token"],
                behind_proxy=wish["public"],
            )
            options = LiveOptions(
                (Path(wish["avatar"]),),
                camera=wish["camera"],
                width=wish["width"],
                height=wish["height"],
                fps=wish["fps"],
                threads=wish["threads"],
                hotkeys=False,
                browser=False,
                web=web_config(web, settings, codec=None, bitrate=None, ice=tuple(wish["ice"])),
                sharing=sharing() if wish["share_avatar"] else None,
            )
            run_live(
                options,
                settings,
                say=lambda text: _tell(ready=text.partition("ready: ")[2].partition("#")[0]),
                warn=lambda text: _tell(warning=text),
            )
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _tell(**content: str) -> None:
    print(json.dumps(content), flush=True)


def _end_with_stdin() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
