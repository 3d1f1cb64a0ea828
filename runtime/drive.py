"""An avatar that moves as the face in a video moves, written to a video of the same length, size and rate.

The work is a pipeline: reading, detecting, tracking and drawing each run in a thread, writing in the caller's, with a few items
between them at most. Every stage takes the frames in order, so the result is the same as of doing one after the other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from perse_live.animate import HeadPose
from perse_live.arrays import UInt8Array
from perse_live.avatar import (
    Avatar,
    following_outline,
    neutral_landmarks,
    personal_landmark_model,
    with_resting_lids,
)
from perse_live.camera import Camera
from perse_live.detect import Detection
from perse_live.errors import UserError
from perse_live.film.reader import Film, FilmFrame, open_film
from perse_live.film.writer import film_writer
from perse_live.follow import FaceFollower
from perse_live.head import landmarks as lm
from perse_live.head.landmarks import FaceShape, load_landmark_model
from runtime.background import (
    Background,
    Color,
    Transparent,
    lay_over,
    load_background,
    straight_alpha,
)
from runtime.photometric import Glimpse, PhotometricConfig, PhotometricTracker, glimpse
from runtime.pipeline import ahead, each
from runtime.presence import Presence, Shoulders, at_rest
from runtime.secondary_motion import SecondaryMotion
from runtime.stage import Motion, Stage
from runtime.tracker import (
    Calibration,
    KnownFaceTracker,
    RestPose,
    StrangerTracker,
    TrackedFrame,
    calibrate,
)

DEFAULT_BACKGROUND = Color(0xD9, 0xDB, 0xDE)
"""A light grey, on which dark and fair hair both stand out."""

Progress = Callable[[int, int | None], None]
"""Called with the number of finished frames and the total (None: unknown)."""

_Look = Callable[[UInt8Array, Detection], Glimpse]

_PICTURES_AHEAD = 3  # full pictures that may wait between two stages
_DETECTIONS_AHEAD = 240  # detections (10 kB each, with a glimpse 60 kB) that may wait to be tracked
_CALIBRATION_SECONDS = 6.0  # of the film's beginning that the driver's neutral is learned from
_CALIBRATION_FRAMES = 150  # at most


@dataclass(frozen=True)
class _Detected:
    """The detection in one frame of the film."""

    frame: FilmFrame  # its picture is dropped
    face: Detection | None
    glimpse: Glimpse | None  # of the face, where its picture is wanted


def drive_matched(
    avatar: Avatar,
    video: Path,
    output: Path,
    *,
    background: Background = DEFAULT_BACKGROUND,
    progress: Progress,
) -> tuple[str, ...]:
    """Self-reenactment: the avatar takes pose, place, scale and expression of its subject in a video.

    The driver is assumed to be the avatar's subject: pose and expression are fitted with the avatar's face shape, the
    landmark residual beyond the 52 actions is applied as offsets, and misalignments of a pixel or two between the rendering
    and the video are corrected photometrically (`runtime.photometric`). Hair does not swing, and shoulders do not breathe.
    Returns warnings about the video and the output (`Film.warnings`, `FilmWriter.warnings`). Raises UserError for a video
    without pictures or without any face, and where the output cannot be written; nothing is left then.
    """
    film = open_film(video)
    shape = FaceShape(neutral_landmarks(avatar), avatar.rig.eye_centers, avatar.rig.eye_radius)
    camera = Camera.for_image(film.width, film.height)
    config = PhotometricConfig()
    with _detections(film, lambda image, face: glimpse(image, face, camera, config.side)) as seen:
        drawn = following_outline(avatar)
        known = KnownFaceTracker(
            shape, personal_landmark_model(avatar), camera=camera, photo_gaze=avatar.source.gaze
        )
        tracker = PhotometricTracker(drawn, known, threads=_threads(), config=config)
        tracked = each(
            lambda one: (one.frame, tracker.update(one.face, one.glimpse, float(one.frame.time))),
            seen,
        )
        return _draw(drawn, camera, tracked, film, output, background, progress, None)


def drive_relative(
    avatar: Avatar,
    video: Path,
    output: Path,
    *,
    background: Background = DEFAULT_BACKGROUND,
    still: bool = False,
    progress: Progress,
) -> tuple[str, ...]:
    """Cross-reenactment: any face in a video drives the avatar, which stays framed as in its photo.

    Motion is relative to the driver's neutral face, learned from the film's first seconds. still: hair does not swing, and
    shoulders do not breathe. Returns and raises as `drive_matched` does.
    """
    film = open_film(video)
    model = load_landmark_model()
    camera = avatar.source.camera.resized(film.width, film.height)
    with _detections(film) as seen:
        drawn = following_outline(avatar)
        first = _beginning(seen)
        known: Calibration | None = None
        if faces := [one.face for one in first if one.face is not None]:
            known = calibrate(faces, model)
        tracker = StrangerTracker(rest_pose(avatar), model, calibration=known)
        tracked = each(
            lambda one: (
                one.frame,
                _with_resting_lids(avatar, tracker.update(one.face, float(one.frame.time))),
            ),
            _chained(first, seen),
        )
        return _draw(
            drawn,
            camera,
            tracked,
            film,
            output,
            background,
            progress,
            None if still else SecondaryMotion(),
        )


def followed(avatar: Avatar, video: Path, *, progress: Progress) -> list[Motion]:
    """The avatar's motion for each frame of a video, as `drive_relative` draws it.

    Without landmark offsets and secondary motion. Raises UserError for a video without pictures or without any face.
    """
    film = open_film(video)
    model = load_landmark_model()
    presence, shoulders = Presence(resting(avatar)), Shoulders(avatar.source.R_cam_head)
    motions: list[Motion] = []
    with _detections(film) as seen:
        first = _beginning(seen)
        faces = [one.face for one in first if one.face is not None]
        tracker = StrangerTracker(
            rest_pose(avatar), model, calibration=calibrate(faces, model) if faces else None
        )
        for one in _chained(first, seen):
            time = float(one.frame.time)
            face = _with_resting_lids(avatar, tracker.update(one.face, time))
            shown = presence.update(face, time)
            body = shoulders.update(shown.R_cam_head, time)
            pose = HeadPose(shown.R_cam_head, shown.t_cam_head, body)
            motions.append(Motion(shown.expression, shown.gaze, pose))
            progress(len(motions), film.frame_count)
    if not presence.ever:
        raise _no_face(film)
    return motions


def _no_face(film: Film) -> UserError:
    return UserError(
        f"no face in any frame of {film.path}: give a video of a face that looks towards the camera"
    )


def _with_resting_lids(avatar: Avatar, face: TrackedFrame | None) -> TrackedFrame | None:
    return (
        None
        if face is None
        else replace(face, expression=with_resting_lids(avatar, face.expression))
    )


@contextlib.contextmanager
def _detections(
    film: Film, look: _Look | None = None
) -> Generator[Generator[_Detected, None, None], None, None]:
    """The detections of all frames, made by threads that run ahead of the drawing; look: extracts what is needed of the
    picture.
    """

    def detect(frame: FilmFrame) -> _Detected:
        face = follower.update(frame.image, float(frame.time))
        kept = None if look is None or face is None else look(frame.image, face)
        return _Detected(replace(frame, image=np.empty((0, 0, 3), np.uint8)), face, kept)

    with (
        FaceFollower() as follower,
        contextlib.closing(ahead(film.frames(), room=_PICTURES_AHEAD, name="read")) as frames,
        contextlib.closing(
            ahead(each(detect, frames), room=_DETECTIONS_AHEAD, name="detect")
        ) as seen,
    ):
        yield seen


def _chained(
    first: list[_Detected], rest: Generator[_Detected, None, None]
) -> Generator[_Detected, None, None]:
    with contextlib.closing(rest):
        yield from first
        yield from rest


def _beginning(seen: Iterator[_Detected]) -> list[_Detected]:
    """The film's first seconds, from the first face on."""
    first: list[_Detected] = []
    faces = 0
    start: float | None = None
    for one in seen:
        first.append(one)
        faces += one.face is not None
        if start is None and faces:
            start = float(one.frame.time)
        if faces >= _CALIBRATION_FRAMES or (
            start is not None and float(one.frame.time) - start > _CALIBRATION_SECONDS
        ):
            break
    return first


def rest_pose(avatar: Avatar) -> RestPose:
    """The avatar's rest pose: as in its photo."""
    source, points = avatar.source, neutral_landmarks(avatar)
    right, left = (points[corner] for corner in lm.EYE_CORNERS)
    return RestPose(source.R_cam_head, source.t_cam_head, float(np.linalg.norm(left - right)))


def _draw(
    avatar: Avatar,
    camera: Camera,
    tracked: Generator[tuple[FilmFrame, TrackedFrame | None], None, None],
    film: Film,
    output: Path,
    background: Background,
    progress: Progress,
    secondary: SecondaryMotion | None,
) -> tuple[str, ...]:
    """Draw and write every frame; avatar: one that follows the outline; secondary: None: nothing swings or breathes."""
    painter = _painter(avatar, camera, background)
    presence, shoulders = Presence(resting(avatar)), Shoulders(avatar.source.R_cam_head)

    def draw(one: tuple[FilmFrame, TrackedFrame | None]) -> tuple[Fraction, UInt8Array]:
        frame, face = one
        shown = presence.update(face, float(frame.time))
        body = shoulders.update(shown.R_cam_head, float(frame.time))
        pose = HeadPose(shown.R_cam_head, shown.t_cam_head, body)
        swaying = None if secondary is None else secondary.update(pose, float(frame.time))
        picture = painter(Motion(shown.expression, shown.gaze, pose, shown.residual, swaying))
        return frame.time, picture.copy()  # it is a work buffer, which the next frame overwrites

    with film_writer(
        output,
        width=film.width,
        height=film.height,
        rate=film.rate,
        alpha=isinstance(background, Transparent),
        sound_from=film,
    ) as writer:
        with (
            contextlib.closing(ahead(tracked, room=_PICTURES_AHEAD, name="track")) as poses,
            contextlib.closing(
                ahead(each(draw, poses), room=_PICTURES_AHEAD, name="draw")
            ) as drawn,
        ):
            for count, (time, picture) in enumerate(drawn, 1):
                writer.write(picture, time=time)
                progress(count, None if film.frame_count is None else max(film.frame_count, count))
        if not presence.ever:
            raise _no_face(film)
    return (*film.warnings(), *writer.warnings())


def _threads() -> int:
    """How many threads share the work of one picture: half the cores, since the other stages keep the rest busy."""
    return max(1, (os.cpu_count() or 1) // 2)


def _painter(
    avatar: Avatar, camera: Camera, background: Background
) -> Callable[[Motion], UInt8Array]:
    stage = Stage(avatar, camera, threads=_threads())
    if isinstance(background, Transparent):
        return lambda motion: straight_alpha(stage.draw_rgba(motion))
    if isinstance(background, Color):
        color = (background.red / 255, background.green / 255, background.blue / 255)
        return lambda motion: stage.draw(motion, background=color)
    picture = load_background(background, camera.width, camera.height)
    return lambda motion: lay_over(stage.draw_rgba(motion), picture)


def resting(avatar: Avatar) -> Callable[[float, TrackedFrame | None], TrackedFrame]:
    """At rest the head faces the camera where the face was last seen."""
    still = at_rest(avatar.source.t_cam_head)
    return lambda time, last: still if last is None else replace(still, t_cam_head=last.t_cam_head)
