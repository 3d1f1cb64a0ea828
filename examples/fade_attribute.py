"""An attribute that fades in, as animated WebP: python fade_attribute.py AVATAR NAME OUT.webp."""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

import perse_live

FRAMES, FPS = 24, 24


def main(avatar_file: str, name: str, picture: str) -> None:
    """Draw the avatar at weights from 0 to 1."""
    avatar = perse_live.Avatar.load(avatar_file)
    first, *others = [
        Image.fromarray(avatar.render(pose=(15, 0, 0), attributes={name: float(weight)}, size=256))
        for weight in np.linspace(0, 1, FRAMES)
    ]
    first.save(picture, save_all=True, append_images=others, duration=1000 // FPS, loop=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
