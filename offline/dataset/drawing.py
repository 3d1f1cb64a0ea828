"""Drawing the frames of a data set: by the rig, all looks of a frame together, and by animators that take an edited portrait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from offline.animation.contract import Moment, PortraitAnimator
from offline.animation.guide_renderer import GuideRenderer, over
from offline.animation.guided_video import GuidedFrame, guided_film, part_share
from offline.animation.video_pipeline import VideoConfig, VideoPipeline
from offline.dataset.layout import (
    BACKGROUND,
    SOURCE_LOOK,
    DatasetFrame,
    LookEntry,
    Split,
)
from offline.dataset.tracks import tracks_of, write_tracks
from offline.dataset.transforms import write_transforms
from offline.dataset.writing import frame_files, write_frame
from offline.editing.contract import EditedPortrait, View
from perse_live.attributes import Attribute, Look
from perse_live.avatar import Avatar
from perse_live.camera import Camera
from perse_live.files import write_error
from perse_live.regions import Region
from perse_live.splatting.backend import open_rasterizer

BYTES_OF_FRAME = {"whole": 380_000, "colours": 75_000}
"""Of a frame of 512 x 512 pixels with maps of its own, and of one that shares the source's; measured, and a little more."""
_PAINTED = (Region.SKIN, Region.LIPS)
_AHEAD = 4  # frames that wait for each thread
_KEPT_FRAMES = (
    128  # of the rig's, while a film is drawn: two long windows, so that none is drawn twice
)
_BEHIND = np.asarray(np.array(BACKGROUND) / 255, np.float32)


@dataclass(frozen=True, eq=False)
class DatasetPlan:
    """What all looks of a data set have in common."""

    root: Path
    avatar: Avatar
    """Without attributes."""
    moments: Sequence[Moment]
    train: int
    """The first so many moments are for training."""
    size: int
    """Width and height of the pictures, pixels."""
    threads: int
    """Frames that are drawn at the same time."""

    @property
    def camera(self) -> Camera:
        """The photo's, on the data set's pixels."""
        return self.avatar.source.camera.resized(self.size, self.size)

    def view(self, index: int) -> View:
        """What is seen in a frame."""
        moment = self.moments[index]
        return View(self.camera, moment.pose, moment.expression, moment.gaze)

    def frames(self, name: str, *, shared: bool) -> list[DatasetFrame]:
        """The frames of a look, drawn or not. shared: whether its maps are the source's."""
        folder = self.root / name
        geometry = self.root / SOURCE_LOOK if shared else None
        camera = self.camera
        found: list[DatasetFrame] = []
        for index, moment in enumerate(self.moments):
            split: Split = "train" if index < self.train else "test"
            files = frame_files(folder, index, part=name != SOURCE_LOOK, geometry=geometry)
            found.append(
                DatasetFrame(
                    index,
                    split,
                    camera,
                    moment.pose,
                    moment.expression,
                    moment.gaze,
                    files,
                    BACKGROUND,
                )
            )
        return found


def shares_geometry(avatar: Avatar, look: Look | None) -> bool:
    """Whether a look changes colours only, so that alpha, depth, normals, classes and landmarks are the source's.

    Paint that it lays on the skin counts as colour.
    """
    return (
        isinstance(look, Attribute)
        and not len(look.added.rigid.means)
        and bool(np.isin(look.added.regions, _PAINTED).all())
        and not len(look.vertex_ids)
        and np.array_equal(look.opacities, avatar.opacities[look.ids])
    )


def missing_frames(frames: Sequence[DatasetFrame], folder: Path) -> list[DatasetFrame]:
    """Those of which the look's own folder lacks a file."""
    return [
        frame
        for frame in frames
        if not all(path.is_file() for path in frame.files.present() if path.is_relative_to(folder))
    ]


def draw_by_rig(
    plan: DatasetPlan,
    looks: Sequence[tuple[LookEntry, Look | None]],
    *,
    progress: Callable[[float], None],
) -> None:
    """Draw what is missing of several looks, a frame of all of them at a time: the person without a look is drawn once for all.

    looks: with None for the person as they are. A look's `transforms.json` is written when its frames are all there. progress:
    told which share of the pictures is done. Raises UserError where a file cannot be written.
    """
    jobs = _Jobs(plan, looks)
    total = sum(len(missing) for missing in jobs.missing.values())
    done = 0
    progress(0.0)
    waiting: set[Future[int]] = set()
    with ThreadPoolExecutor(plan.threads, thread_name_prefix="dataset") as pool:
        try:
            for index in sorted(set().union(*jobs.missing.values())):
                if len(waiting) >= _AHEAD * plan.threads:
                    finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    done += sum(job.result() for job in finished)
                    progress(done / total)
                waiting.add(pool.submit(jobs.draw, index))
            for job in waiting:
                done += job.result()
                progress(done / total)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for entry, look in looks:
        write_look(plan, entry.name, look, jobs.frames[entry.name])


class _Jobs:
    """The frames of several looks, drawn by any thread; each thread has renderers of its own."""

    def __init__(self, plan: DatasetPlan, looks: Sequence[tuple[LookEntry, Look | None]]) -> None:
        self._plan, self._looks = plan, looks
        self._shared = {entry.name: shares_geometry(plan.avatar, look) for entry, look in looks}
        self.frames = {
            entry.name: plan.frames(entry.name, shared=self._shared[entry.name])
            for entry, _ in looks
        }
        self.missing: dict[str, set[int]] = {}
        for name, frames in self.frames.items():
            make_folders(plan.root / name, frames[0])
            self.missing[name] = {frame.index for frame in missing_frames(frames, plan.root / name)}
        self._local = threading.local()

    def draw(self, index: int) -> int:
        """Draw what is missing of a frame; how many looks that were."""
        view = self._plan.view(index)
        wanted = [(entry, look) for entry, look in self._looks if index in self.missing[entry.name]]
        own_maps = any(look is None for _, look in wanted)
        plain = self._renderer(SOURCE_LOOK, None).frame(view, geometry=own_maps)
        for entry, look in wanted:
            frame = self.frames[entry.name][index]
            drawn = (
                plain
                if look is None
                else self._renderer(entry.name, look).frame(
                    view, geometry=not self._shared[entry.name], without=plain.picture
                )
            )
            write_frame(frame, over(drawn.picture, _BEHIND), drawn.part, drawn.maps)
        return len(wanted)

    def _renderer(self, name: str, look: Look | None) -> GuideRenderer:
        found: dict[str, GuideRenderer] = self._local.__dict__.setdefault("renderers", {})
        if name not in found:
            camera = self._plan.camera
            if "rasterizer" not in self._local.__dict__:
                self._local.rasterizer = open_rasterizer(
                    camera.width, camera.height, device="auto", threads=1
                )
            found[name] = GuideRenderer(
                self._plan.avatar, camera, look, rasterizer=self._local.rasterizer
            )
        return found[name]


def draw_by_animator(
    plan: DatasetPlan,
    entry: LookEntry,
    edited: EditedPortrait,
    animator: PortraitAnimator,
    *,
    chunk: int,
    progress: Callable[[float], None],
) -> None:
    """Draw what is missing of one look by an animator; its maps are the rig's.

    chunk: moments that are animated at a time. Colours are laid over the background by the rig's alpha. Raises UserError as the
    animator, and where a file cannot be written.
    """
    frames = plan.frames(entry.name, shared=False)
    folder = plan.root / entry.name
    make_folders(folder, frames[0])
    missing = {frame.index for frame in missing_frames(frames, folder)}
    renderer = GuideRenderer(plan.avatar, plan.camera, edited.teacher.look, threads=plan.threads)
    count = len(frames)
    for begin in range(0, count, chunk):
        part = range(begin, min(begin + chunk, count))
        progress(begin / count)
        if missing.isdisjoint(part):
            continue
        animated = animator(
            plan.avatar,
            edited,
            [plan.moments[index] for index in part],
            progress=lambda _, share, part=part: progress((part.start + share * len(part)) / count),
        )
        for index, found in zip(part, animated, strict=True):
            maps = renderer.maps(plan.view(index))
            sides = (plan.size, plan.size)
            picture = cv2.resize(found.image, sides, interpolation=cv2.INTER_AREA)
            mask = cv2.resize(found.part_mask, sides, interpolation=cv2.INTER_AREA)
            alpha = maps.alpha[..., None] / np.float32(255)
            rgb = alpha * picture + (1 - alpha) * _BEHIND
            write_frame(
                frames[index],
                np.rint(255 * np.clip(rgb, 0, 1)).astype(np.uint8),
                np.rint(255 * np.clip(mask, 0, 1)).astype(np.uint8),
                maps,
            )
    write_look(plan, entry.name, edited.teacher.look, frames)
    progress(1.0)


def draw_by_video(
    plan: DatasetPlan,
    entry: LookEntry,
    edited: EditedPortrait,
    pipeline: VideoPipeline,
    config: VideoConfig | None = None,
    *,
    progress: Callable[[float], None],
) -> None:
    """Draw one look by a video pipeline that the rig's maps guide; where it broke off, it begins again: its frames hang together.

    config: by default prompted by the look's label. Raises UserError where the pipeline fails or a file cannot be written.
    """
    frames, folder = plan.frames(entry.name, shared=False), plan.root / entry.name
    make_folders(folder, frames[0])
    plain = GuideRenderer(plan.avatar, plan.camera, threads=plan.threads)
    looked = GuideRenderer(plan.avatar, plan.camera, edited.teacher.look, threads=plan.threads)

    @lru_cache(maxsize=_KEPT_FRAMES)
    def frame_of(index: int) -> GuidedFrame:
        view = plan.view(index)
        without = plain.frame(view, geometry=False).picture
        found = looked.frame(view, geometry=True, without=without)
        assert found.maps is not None and found.part is not None
        return GuidedFrame(found.maps, np.asarray(found.part / np.float32(255), np.float32))

    film = guided_film(pipeline, edited, len(frames), frame_of, config, progress)
    for frame, rgb in zip(frames, film, strict=True):
        guide = frame_of(frame.index)
        part = np.rint(255 * part_share(guide.part)).astype(np.uint8)
        write_frame(frame, rgb, part, guide.maps)
    write_look(plan, entry.name, edited.teacher.look, frames)
    progress(1.0)


def write_look(
    plan: DatasetPlan, name: str, look: Look | None, frames: Sequence[DatasetFrame]
) -> None:
    """Write what names the pictures of a look that are all there, and its point tracks. look: None: the person as they are.

    Raises UserError where a file cannot be written.
    """
    folder = plan.root / name
    tracks = None if look is None else tracks_of(plan.avatar, look, frames)
    write_transforms(folder, frames, None if tracks is None else write_tracks(folder, tracks))


def make_folders(folder: Path, frame: DatasetFrame) -> None:
    """Make a look's folders for the files that are its own. Raises UserError where that cannot be done."""
    for path in frame.files.present():
        if path.is_relative_to(folder):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise write_error(path.parent, error) from error
