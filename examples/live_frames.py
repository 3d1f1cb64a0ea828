"""Frames of a live session as numpy arrays: python live_frames.py AVATAR OUT.png [COUNT]."""

from __future__ import annotations

import itertools
import sys

import numpy as np
from PIL import Image

import perse_live


def main(avatar_file: str, picture: str, count: str = "90") -> None:
    """Take frames as they are drawn, and save their average: sharp where nothing moves."""
    with perse_live.LiveSession(avatar_file, camera="none", size=(256, 256)) as session:
        frames = list(itertools.islice(session.frames(), int(count)))
    Image.fromarray(np.mean(frames, axis=0).astype(np.uint8)).save(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
