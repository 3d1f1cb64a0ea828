"""A turning head as animated WebP: python turntable.py AVATAR OUT.webp."""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

import perse_live

FRAMES, FPS, LARGEST_YAW = 60, 30, 30.0  # an avatar is made to be seen within 35 degrees


def main(avatar_file: str, picture: str) -> None:
    """Turn the head from side to side and back."""
    avatar = perse_live.Avatar.load(avatar_file)
    yaws = LARGEST_YAW * np.sin(2 * np.pi * np.arange(FRAMES) / FRAMES)
    first, *others = [
        Image.fromarray(avatar.render(pose=(yaw, 0.1 * abs(yaw), 0), size=256)) for yaw in yaws
    ]
    first.save(picture, save_all=True, append_images=others, duration=1000 // FPS, loop=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
