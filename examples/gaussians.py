"""Posed Gaussians as arrays, for a renderer of another kind: python gaussians.py AVATAR OUT.npz.

Camera frame (x right, y down, z forward), metres, quaternions wxyz, colours sRGB in [0, 1]: what
gsplat's `rasterization` takes, with an identity view matrix. Files for other programs are written by
`perse-live export`.
"""

from __future__ import annotations

import sys

import numpy as np

import perse_live


def main(avatar_file: str, arrays: str) -> None:
    """Save the Gaussians of a smile, turned to the side, with the camera's intrinsics."""
    avatar = perse_live.Avatar.load(avatar_file)
    smile = {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8}
    gaussians, camera = avatar.gaussians(smile, pose=(20, 0, 0)), avatar.source.camera
    intrinsics = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    np.savez_compressed(arrays, intrinsics=intrinsics, **vars(gaussians))


if __name__ == "__main__":
    main(*sys.argv[1:])
