"""A live session with its page: python live_page.py AVATAR [CAMERA] [SECONDS].

CAMERA is a camera's number, a video file, "browser", "vmc" or "none", which is the default.
"""

from __future__ import annotations

import sys
import time

import perse_live


def main(avatar_file: str, camera: str = "none", seconds: str = "60") -> None:
    """Serve the page for some time, and say each second how fast it goes."""
    with perse_live.LiveSession(avatar_file, camera=camera) as session:
        print(f"open {session.url}")
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end and not session.ended:
            time.sleep(1)
            print(f"{session.stats()['fps']} frames per second, face: {session.state()['face']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
