"""Expression scores and head pose of a video, as a table: python track_to_csv.py AVATAR VIDEO OUT.csv.

Scores are relative to the face's neutral expression, in the order of `perse_live.EXPRESSION_NAMES`.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import av

import perse_live


def main(avatar_file: str, video: str, table: str) -> None:
    """Track the face in every frame; frames without a face have no row."""
    avatar = perse_live.Avatar.load(avatar_file)
    with (
        perse_live.Tracker(avatar) as tracker,
        av.open(video) as film,
        Path(table).open("w", newline="", encoding="utf-8") as file,
    ):
        rows = csv.writer(file)
        rows.writerow(["seconds", "x", "y", "z", *perse_live.EXPRESSION_NAMES])
        for frame in film.decode(video=0):
            motion = tracker.update(frame.to_ndarray(format="rgb24"), float(frame.time or 0))
            if motion is not None:
                numbers = [*motion.pose.t_cam_head, *motion.expression]
                rows.writerow([frame.time, *(f"{number:.4f}" for number in numbers)])


if __name__ == "__main__":
    main(*sys.argv[1:])
