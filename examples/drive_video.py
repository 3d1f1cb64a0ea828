"""An avatar that moves as the face in a video: python drive_video.py AVATAR VIDEO OUT.mp4."""

from __future__ import annotations

import sys

import perse_live


def main(avatar_file: str, video: str, output: str) -> None:
    """Write the video, and say what was noticed."""
    avatar = perse_live.Avatar.load(avatar_file)
    for warning in perse_live.drive(avatar, video, output, background="203040"):
        print(f"note: {warning}")


if __name__ == "__main__":
    main(*sys.argv[1:])
