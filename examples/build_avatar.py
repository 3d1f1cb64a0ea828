"""Photo to avatar file: python build_avatar.py PHOTO AVATAR CONSENT.

CONSENT says who agreed and how, such as "I am the person in the photo".
"""

from __future__ import annotations

import sys

import perse_live


def main(photo: str, avatar_file: str, consent: str) -> perse_live.Avatar:
    """Build, save, and say what was noticed about the photo."""
    avatar = perse_live.build_avatar(
        photo,
        consent=consent,
        attributes=(),  # ("default",) brings nine, which takes three times as long
        progress=lambda step, fraction: print(f"\r{step}: {fraction:4.0%} ", end="", flush=True),
    )
    avatar.save(avatar_file)
    print(f"\n{avatar_file}: {len(avatar):,} Gaussians")
    for warning in avatar.provenance.warnings:
        print(f"note: {warning}")
    return avatar


if __name__ == "__main__":
    main(*sys.argv[1:])
