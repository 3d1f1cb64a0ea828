"""The runtime in the public API (`perse_live.__all__`): face tracker, films, live sessions."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

from perse_live.animate import HeadPose
from perse_live.arrays import UInt8Array
from perse_live.avatar import Avatar, with_resting_lids
from perse_live.errors import UserError
from perse_live.outputs import check_outputs
from runtime.stage import Motion

_Self = TypeVar("_Self")
_FRAME_SECONDS = 10.0  # seconds without a picture after which the session has failed


class _Closing(contextlib.AbstractContextManager[_Self]):
    """Context manager that calls `close`."""

    @abstractmethod
    def close(self) -> None:
        """Release the resources."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


class Tracker(_Closing["Tracker"]):
    """Tracks one face through the pictures of a camera or video and returns the avatar's motion.

    Motion is relative to the face's neutral expression and frontal pose, which are learned from the first half second of
    frontal pictures. Not thread-safe. Use it in a `with` block or close it.
    """

    def __init__(self, avatar: Avatar, *, smooth: bool = True) -> None:
        """Load the face detector.

        Args:
            avatar: The avatar to be moved; motion is scaled to its size and relative to its rest pose.
            smooth: Filter out jitter (One-Euro filter), which delays the motion by some milliseconds.

        Raises:
            UserError: Where the detector's model file cannot be had.
        """
        from perse_live.follow import FaceFollower
        from perse_live.head.landmarks import load_landmark_model
        from runtime.drive import rest_pose
        from runtime.presence import Shoulders
        from runtime.smoothing import OneEuroConfig
        from runtime.tracker import StrangerTracker, TrackerConfig

        self._avatar = avatar
        self._tracker = StrangerTracker(
            rest_pose(avatar),
            load_landmark_model(),
            config=TrackerConfig(smoothing=OneEuroConfig() if smooth else None),
        )
        self._shoulders = Shoulders(avatar.source.R_cam_head)
        self._follower = FaceFollower()

    def update(self, image: UInt8Array, time: float) -> Motion | None:
        """Track the face in the next picture.

        Draw it with `avatar.render(motion.expression, motion.pose, gaze=motion.gaze,
        residual=motion.residual)`.

        Args:
            image: (H, W, 3) uint8 RGB, not mirrored.
            time: Seconds, growing.

        Returns:
            The motion, or None where no face is found.

        Raises:
            UserError: For an image of another shape or type.
        """
        face = self._tracker.update(self._follower.update(image, time), time)
        if face is None:
            return None
        body = self._shoulders.update(face.R_cam_head, time)
        return Motion(
            with_resting_lids(self._avatar, face.expression),
            face.gaze,
            HeadPose(face.R_cam_head, face.t_cam_head, body),
            face.residual,
        )

    def recalibrate(self) -> None:
        """Learn the face's neutral expression and frontal pose again, from the next pictures."""
        self._tracker.recalibrate()

    def close(self) -> None:
        """Free the detector; closing again does nothing."""
        self._follower.close()


def drive(
    avatar: Avatar,
    video: str | Path,
    output: str | Path,
    *,
    match: bool = False,
    attributes: Mapping[str, float] | None = None,
    background: str = "d9dbde",
    overwrite: bool = False,
    mark: bool = True,
    progress: Callable[[int, int | None], None] | None = None,
) -> tuple[str, ...]:
    """Write a video in which the avatar follows the face in another video.

    The output has the video's size, frame rate, number of frames and sound.

    Args:
        avatar: The avatar.
        video: The video to follow, in any format that FFmpeg reads.
        output: .mp4, .mov, .mkv or .webm.
        match: Copy the driver's position, pose and absolute expression (self-reenactment). Without it
            motion is relative to the driver's neutral expression, and the avatar stays framed as in
            its photo.
        attributes: Weights in [0, 1] by name.
        background: A colour RRGGBB, the path of a picture, or "alpha" (then output is .mov or
            .webm).
        overwrite: Also replace a file that perse-live did not write.
        mark: Write into the file's metadata that it shows an avatar.
        progress: Called with the number of finished frames and the total (None: unknown).

    Returns:
        Warnings about the video and the output.

    Raises:
        UserError: For a video without a face, an unknown attribute, and an output that
            cannot be written; nothing half-written is left.
    """
    from perse_live.attribute_blending import with_attributes
    from perse_live.film.writer import check_film_name
    from perse_live.marking.mark import files_of_marked, mark_film, mark_of
    from perse_live.rendering import attribute_weights
    from runtime.background import Picture, Transparent, parse_background
    from runtime.drive import drive_matched, drive_relative

    film, source = Path(output), Path(video)
    behind = parse_background(background)
    check_film_name(film, alpha=isinstance(behind, Transparent))
    inputs = [source, *([behind.path] if isinstance(behind, Picture) else [])]
    check_outputs(files_of_marked(film) if mark else [film], inputs=inputs, overwrite=overwrite)
    weights = attribute_weights(avatar, attributes or {})
    drawn = (
        replace(with_attributes(avatar, avatar.attributes, weights), attributes=())
        if weights
        else avatar
    )
    by_frame = drive_matched if match else drive_relative
    warnings = by_frame(drawn, source, film, background=behind, progress=progress or _silent)
    if mark:
        mark_film(film, mark_of([avatar]), overwrite=overwrite)
    return warnings


def _silent(_done: int, _total: int | None) -> None:
    pass


class LiveSession(_Closing["LiveSession"]):
    """A live session: the avatar follows a camera and is shown in the live page, as a virtual camera,
    in recordings, and as arrays by `frames`.

    Use it in a `with` block or close it. Every method may be called from any thread.
    """

    def __init__(
        self,
        *avatars: str | Path,
        camera: str = "0",
        size: tuple[int, int] = (512, 512),
        fps: float | None = None,
        background: str = "d9dbde",
        virtual_camera: bool = False,
        preview: bool = False,
        record: str | Path | None = None,
        engine: Literal["auto", "cpu", "onnx", "torch", "tensorrt", "tensorrt-rtx"] = "auto",
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
    ) -> None:
        """Open everything and wait for the first picture.

        Args:
            avatars: `.perse` files; the first one is shown first.
            camera: A camera's number, a video file, "browser", "vmc" or "none", as of
                `perse-live live --camera`.
            size: Width and height, pixels, 128 to 1920.
            fps: Frames per second to keep; 30 by default.
            background: A colour RRGGBB, the path of a picture, "photo", "green" or "alpha".
            virtual_camera: Offer the picture to other programs as a camera.
            preview: Show the picture in a window.
            record: Record into this file from the start.
            engine: Engine that poses and draws, as of `--engine`; "auto" uses a GPU where possible.
            host: Address that the live page is served on.
            port: Port of the page; 0 takes a free one.
            token: Required in every request; generated where other machines can reach the host.

        Raises:
            UserError: Where something cannot be opened; everything else is closed then.
        """
        from runtime.live.run import LiveOptions, check_options, check_size, open_live
        from runtime.live.settings import Settings
        from runtime.web.server import WebConfig

        if not avatars:
            raise UserError("no avatar is named: give the path of a .perse file")
        width, height = check_size(*size)
        options = LiveOptions(
            tuple(map(Path, avatars)),
            camera=camera,
            virtual_camera=virtual_camera,
            preview=preview,
            record=None if record is None else Path(record),
            width=width,
            height=height,
            fps=fps,
            background=background,
            hotkeys=False,
            browser=False,
            engine=engine,
            web=WebConfig(host=host, port=port, token=token),
        )
        check_options(options)
        if options.record is not None:
            check_outputs([options.record], inputs=options.avatars)
        self._stack = contextlib.ExitStack()
        opened = self._stack.enter_context(open_live(options, Settings()))
        self._session, self.url = opened.session, opened.url
        """Address of the live page, with its token if there is one."""
        try:
            if options.record is not None:
                self._session.record_now()
        except BaseException:
            self.close()
            raise

    def act(self, action: str, /, **parameters: object) -> None:
        """Perform an action of docs/live-api.md with its parameters.

        Such as `act("attribute", name="hat-cap", weight=0.5)`, `act("background",
        background="00ff00")`, `act("hide", on=True)`, `act("record", on=False)`.

        Raises:
            UserError: For an unknown or impossible action; nothing is changed then.
        """
        from runtime.live.actions import parse_action

        self._session.act(parse_action({"action": action, **parameters}))

    def state(self) -> dict[str, Any]:
        """Attributes with their weights, face, source, sinks, recording: see docs/live-api.md."""
        return self._session.state()

    def stats(self) -> dict[str, Any]:
        """Frames per second, milliseconds of each stage, latency: see docs/live-api.md."""
        return self._session.stats()

    def frames(self) -> Iterator[UInt8Array]:
        """Iterate over the newest pictures until the session ends; pictures that come faster than they
        are taken are skipped.

        Yields:
            (H, W, 3) uint8 RGB; with the background "alpha" (H, 2 W, 3), the avatar on black and its
            alpha side by side.

        Raises:
            UserError: Where drawing has failed.
        """
        seen = 0
        while not self._session.drawn.closed:
            found = self._session.drawn.wait(seen, _FRAME_SECONDS)
            if self._session.failure is not None:
                raise UserError(
                    f"the avatar cannot be drawn: {self._session.failure}"
                ) from self._session.failure
            if found is not None:
                seen, frame = found
                yield frame.image.copy()

    @property
    def ended(self) -> bool:
        """Whether drawing has stopped."""
        return self._session.ended

    def close(self) -> None:
        """Finish recordings, and end all threads; closing again does nothing."""
        self._stack.close()
