"""A script that steers a live session and records it: python steer_live.py AVATAR OUT.mp4 [SECONDS].

Actions and their parameters: docs/live-api.md.
"""

from __future__ import annotations

import sys
import time

import perse_live


def main(avatar_file: str, recording: str, seconds: str = "1") -> None:
    """Step by step, fade every attribute in and out, then change the background."""
    with perse_live.LiveSession(avatar_file, camera="none", record=recording) as session:
        for attribute in session.state()["attributes"]:
            session.act("attribute", name=attribute["name"], weight=1.0)
            time.sleep(float(seconds))
            session.act("no-attributes")
        session.act("background", background="206040")
        time.sleep(float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
