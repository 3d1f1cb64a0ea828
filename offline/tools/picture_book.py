"""The pictures of docs/how-a-photo-becomes-an-avatar.md.

Run as `python -m offline.tools.picture_book docs/stages`: it builds an avatar of the sample portrait and writes a small picture
of each stage into that folder.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from offline.build_state import Consent
from offline.pipeline import build_avatar
from offline.stage_pictures import write_stage_picture
from perse_live.assets import asset_path

_SIDE = 240  # pixels of a panel: all eleven pictures together are smaller than 400 KB
_CONSENT = Consent("NASA, by releasing the portrait to the public", "2026-01-01T00:00:00+00:00")
_log = logging.getLogger(__name__)


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO)
    build_avatar(
        asset_path("sample_portrait"),
        consent=_CONSENT,
        progress=lambda step, share: None,
        done=lambda stage, state: write_stage_picture(
            folder, stage.key, state, side=_SIDE, suffix=".webp"
        ),
    )
    _log.info(
        "%d KB of pictures in %s",
        sum(path.stat().st_size for path in folder.glob("*.webp")) // 1024,
        folder,
    )


if __name__ == "__main__":
    main()
