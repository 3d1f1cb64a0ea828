"""A row of expressions as one picture: python expressions.py AVATAR OUT.png."""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

import perse_live

EXPRESSIONS = (
    {},
    {
        "mouthSmileLeft": 0.9,
        "mouthSmileRight": 0.9,
        "cheekSquintLeft": 0.5,
        "cheekSquintRight": 0.5,
    },
    {"jawOpen": 0.6, "browInnerUp": 0.8, "eyeWideLeft": 0.5, "eyeWideRight": 0.5},
    {"eyeBlinkLeft": 1.0, "mouthSmileLeft": 0.4},
    {"mouthPucker": 0.8, "browDownLeft": 0.6, "browDownRight": 0.6},
)


def main(avatar_file: str, picture: str) -> None:
    """Render each expression, and put the pictures side by side."""
    avatar = perse_live.Avatar.load(avatar_file)
    row = [avatar.render(expression, size=256) for expression in EXPRESSIONS]
    Image.fromarray(np.hstack(row)).save(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
