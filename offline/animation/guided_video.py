"""A guided video model as animator, for parts that stand out from the head: hair, hats, beards (PERSE, CVPR 2025, section 4.1).

PERSE animates them by CHAMP (Zhu et al., ECCV 2024), which draws a person from one picture under maps of depth, normals, semantic
classes and landmarks, rendered from a body model. Here the maps come from the rig with the look, frame by frame; any pipeline
that `VideoPipeline` accepts draws. What lies outside the part is the rig's rendering, which knows it better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import cv2
import numpy as np

from offline.animation.color_match import ColorMatch, color_statistics
from offline.animation.contract import Moment
from offline.animation.guide_maps import GuideMaps
from offline.animation.guide_pictures import depth_range, guide_pictures
from offline.animation.guide_renderer import GuideRenderer
from offline.animation.video_pipeline import VideoConfig, VideoPipeline
from offline.editing.contract import EditedPortrait, View
from offline.editing.donor import Progress
from offline.editing.prompts import NEGATIVE, prompt_for
from offline.training.contract import TrainingFrame
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.avatar import Avatar

_STANDS_OUT = (
    4 / 512
)  # of the picture's side: how far beyond the rig's outline of the part the film is taken
_FEATHER = 3 / 512  # of the picture's side: standard deviation of the border between film and rig
_VIDEO_WEIGHT = (
    0.5  # in training, as LivePortrait's frames: beautiful, but not exactly the avatar's pose
)
_BEHIND = (0, 0, 0)  # sRGB behind the person: what is drawn is the colour times alpha
_KEPT_FRAMES = 128  # of the rig's frames: two long windows, so that none is drawn twice


@dataclass(frozen=True, eq=False)
class GuidedFrame:
    """One frame of the avatar in the look, as the rig draws it."""

    maps: GuideMaps
    part: Float32Array
    """(H, W) in [0, 1] where the look is."""


def guided_film(
    pipeline: VideoPipeline,
    portrait: EditedPortrait,
    frames: int,
    frame_of: Callable[[int], GuidedFrame],
    config: VideoConfig | None = None,
    told: Callable[[float], None] | None = None,
) -> Iterator[UInt8Array]:
    """A film of the edited portrait: the part as the pipeline draws it, all else as the rig does.

    frame_of: the rig's frame of a number, asked in order, some of them more than once; yields each frame (H, W, 3) of its size.
    config: by default prompted by the look's label. told: as `VideoPipeline.film`'s. Raises UserError where the pipeline fails.
    """
    config = config or prompted(portrait)
    depths = depth_range(frame_of(0).maps)
    reference = (portrait.rgb / 255).astype(np.float32)
    match = ColorMatch(color_statistics(reference, portrait.mask))
    film = pipeline.film(
        portrait.rgb,
        frames,
        lambda number: guide_pictures(frame_of(number).maps, depths),
        config,
        told,
    )
    for number, drawn in enumerate(film):
        rig = frame_of(number)
        height, width = rig.part.shape
        resized = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC)
        yield composite(match(np.clip(resized, 0, 1).astype(np.float32), rig.part), rig)


def prompted(portrait: EditedPortrait, config: VideoConfig | None = None) -> VideoConfig:
    """A configuration whose words are the look's."""
    look = portrait.teacher.look
    return replace(
        config or VideoConfig(), prompt=prompt_for(look.label.lower()), negative_prompt=NEGATIVE
    )


def composite(drawn: Float32Array, rig: GuidedFrame) -> UInt8Array:
    """A generated frame (H, W, 3) in [0, 1] where the part is, with a soft border; the rig's rendering, to the bit, elsewhere."""
    share = part_share(rig.part)[..., None]
    mixed = share * (255 * drawn) + (1 - share) * rig.maps.rgb
    return np.where(share > 0, np.clip(np.rint(mixed), 0, 255), rig.maps.rgb).astype(np.uint8)


def part_share(part: Float32Array) -> Float32Array:
    """(H, W) in [0, 1] how much a pixel is the generated frame's: the part, a little larger, with a soft border."""
    side = max(part.shape)
    reach, sigma = max(1, round(_STANDS_OUT * side)), max(0.5, _FEATHER * side)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    # the kernel's size bounds how far the border reaches
    size = 2 * round(3 * sigma) + 1
    soft = cv2.GaussianBlur(cv2.dilate(part, kernel), (size, size), sigma)
    return np.clip(soft, 0, 1).astype(np.float32)


def rig_frames(avatar: Avatar, edited: EditedPortrait) -> Callable[[Moment], GuidedFrame]:
    """Draws the avatar in the look that the portrait's teacher knows, with all maps, of the portrait's size and camera."""
    camera = edited.view.camera
    plain = GuideRenderer(avatar, camera, background=_BEHIND)
    looked = GuideRenderer(avatar, camera, edited.teacher.look, background=_BEHIND)

    def draw(moment: Moment) -> GuidedFrame:
        view = View(camera, moment.pose, moment.expression, moment.gaze)
        without = plain.frame(view, geometry=False).picture
        frame = looked.frame(view, geometry=True, without=without)
        assert frame.maps is not None and frame.part is not None
        return GuidedFrame(frame.maps, (frame.part / 255).astype(np.float32))

    return draw


@dataclass(frozen=True, eq=False)
class VideoAnimator:
    """A `PortraitAnimator`."""

    pipeline: VideoPipeline
    config: VideoConfig | None = None
    """None: `prompted`."""

    def __call__(
        self,
        avatar: Avatar,
        edited: EditedPortrait,
        motion: Sequence[Moment],
        *,
        progress: Progress,
    ) -> list[TrainingFrame]:
        """One frame for each moment, the person on black. Raises UserError where the pipeline fails."""
        draw = rig_frames(avatar, edited)

        @lru_cache(maxsize=_KEPT_FRAMES)
        def frame_of(number: int) -> GuidedFrame:
            return draw(motion[number])

        told = partial(progress, "animating by video")
        film = guided_film(self.pipeline, edited, len(motion), frame_of, self.config, told)
        frames: list[TrainingFrame] = []
        for number, (rgb, moment) in enumerate(zip(film, motion, strict=True)):
            frames.append(
                TrainingFrame(
                    (rgb / 255).astype(np.float32),
                    part_share(frame_of(number).part),
                    edited.view.camera,
                    moment.pose,
                    moment.expression,
                    moment.gaze,
                    _VIDEO_WEIGHT,
                    (0.0, 0.0, 0.0),
                )
            )
        progress("animating by video", 1.0)
        return frames
