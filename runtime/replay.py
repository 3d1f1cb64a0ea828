"""Renders recorded motion to the pictures that the session showed."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

from perse_live.animate import HeadPose
from perse_live.avatar import Avatar
from perse_live.errors import UserError
from perse_live.film.writer import film_writer
from perse_live.motion_file import MotionFrame, read_header, read_motion
from runtime.drive import Progress
from runtime.live.clock import StageClock
from runtime.live.painter import Painter, actor_of, backdrop_of
from runtime.stage import Motion


def replay(
    avatar: Avatar, recording: Path, output: Path, *, background: str | None, progress: Progress
) -> tuple[str, ...]:
    """Render a recording of motion as a film with its size, badge, attributes and times.

    background: as `backdrop_of` reads it, but no matte; None: as recorded. Returns warnings about the output. Raises
    UserError for a file that is no such recording, is empty, or where the film cannot be written.
    """
    header = read_header(recording)
    backdrop = backdrop_of(
        "d9dbde"
        if background is None and header.background == "image"
        else background or header.background
    )
    if backdrop.matte:
        raise UserError(
            "recorded motion is drawn before a colour or a picture: give another --background"
        )
    painter = Painter(
        actor_of(recording.stem, avatar),
        header.width,
        header.height,
        threads=os.cpu_count() or 1,
        animate=StageClock(),
        render=StageClock(),
    )
    count = 0
    rate = Fraction(header.fps).limit_denominator(1001)
    with film_writer(output, width=header.width, height=header.height, rate=rate) as writer:
        for frame in read_motion(recording):
            weights = dict(zip(header.attributes, frame.state.weights.tolist(), strict=True))
            picture = painter.paint(motion_of(frame), backdrop, badge=header.badge, weights=weights)
            writer.write(picture, time=Fraction(frame.time).limit_denominator(1_000_000))
            count += 1
            progress(count, None)
        if not count:
            raise UserError(f"there is no motion in {recording}: record it again")
    return writer.warnings()


def motion_of(frame: MotionFrame) -> Motion:
    """A recorded moment, to be drawn."""
    state = frame.state
    return Motion(
        state.expression,
        state.gaze,
        HeadPose(state.R_cam_head, state.t_cam_head, state.R_cam_body),
        frame.offsets,
        state.secondary if state.secondary.any() else None,
    )
