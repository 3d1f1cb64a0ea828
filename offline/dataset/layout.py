"""What a data set consists of; how it lies in files is in docs/dataset-format.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array
from perse_live.camera import Camera

VERSION = 1
"""Of the layout; another one is refused."""
MANIFEST_FILE = "manifest.json"
TRANSFORMS_FILE = "transforms.json"
SPLIT_FILES = {"train": "transforms_train.json", "test": "transforms_test.json"}
"""The frames of one split each, for readers that want them apart."""
TRACKS_FILE = "tracks.npz"
"""In a look's folder: point tracks of what it adds."""
SOURCE_LOOK = "source"
"""The folder of the person as they are, without any look."""
BACKGROUND = (255, 255, 255)
"""sRGB from 0 to 255, behind the person; white is what trainers of the `transforms.json` family expect."""
DEPTH_UNIT = 1e-4
"""Metres that a step of a depth map's 16 bits stands for."""

Split = Literal["train", "test"]
AnimatorName = Literal["rig", "liveportrait", "video"]
DRAWN_BY: Mapping[AnimatorName, str] = {
    "rig": "the rig",
    "liveportrait": "LivePortrait",
    "video": "a video model",
}
"""For people."""
LookKind = Literal["source", "built-in", "photo", "text"]


@dataclass(frozen=True)
class FrameFiles:
    """Where the pictures of a frame lie; None: the data set has none of that kind."""

    rgb: Path
    """8 bits a channel, over the frame's background."""
    alpha: Path | None = None
    """8 bits: how far a pixel is the person's."""
    part: Path | None = None
    """8 bits: how far a pixel shows, or is changed by, the look; None for the person as they are."""
    depth: Path | None = None
    """16 bits, steps of `DEPTH_UNIT`; 0 where nothing is seen."""
    normals: Path | None = None
    """8 bits a channel, 255 (n + 1) / 2 in OpenGL's camera axes (x right, y up, z towards the viewer); black where nothing is
    seen."""
    semantic: Path | None = None
    """8 bits, values of `SemanticClass`, with a palette."""
    landmarks: Path | None = None
    """NumPy array (478, 3) float32, as `GuideMaps.landmarks`."""

    def present(self) -> tuple[Path, ...]:
        """All that are named."""
        named = (
            self.rgb,
            self.alpha,
            self.part,
            self.depth,
            self.normals,
            self.semantic,
            self.landmarks,
        )
        return tuple(path for path in named if path is not None)


@dataclass(frozen=True, eq=False)
class DatasetFrame:
    """One frame: what was done in it, seen from where."""

    index: int
    """In the motion, from 0; frames of the same index show the same moment in every look."""
    split: Split
    camera: Camera
    pose: HeadPose
    expression: Float32Array
    """(52,) in [0, 1], in the order of `perse_live.head.expressions.EXPRESSION_NAMES`."""
    gaze: Float32Array
    """(2, 2) radians; left, right eye; yaw, pitch."""
    files: FrameFiles
    background: tuple[int, int, int] | None = None
    """sRGB from 0 to 255, on which the person was drawn; None: a picture, or nobody says."""


@dataclass(frozen=True)
class LookSource:
    """What a look was made from."""

    kind: LookKind
    text: str | None = None
    """For "text": the words."""
    model: str | None = None
    """For "text": the model that painted."""
    seed: int | None = None
    """For "text"."""
    photo_sha256: str | None = None
    """For "photo": of the photo's bytes."""
    consent_by: str | None = None
    """For "photo": who confirmed that the person in it agrees."""
    consent_at: str | None = None
    """For "photo": when, ISO 8601 in UTC."""


@dataclass(frozen=True)
class LookEntry:
    """A look, as the manifest lists it."""

    name: str
    """Of its folder, too."""
    label: str
    slot: str
    """Of the attribute: hair, beard, hat ...; empty for the person as they are."""
    category: str | None
    """One of `offline.dataset.categories.CATEGORIES`; None for what PERSE does not edit."""
    animator: AnimatorName
    source: LookSource


@dataclass(frozen=True)
class MotionEntry:
    """Where the motion comes from."""

    kind: Literal["built-in", "film", "motion"]
    seed: int | None = None
    """For "built-in"."""
    sha256: str | None = None
    """Of the film or the recorded motion."""


@dataclass(frozen=True)
class AvatarEntry:
    """Whose data set it is."""

    sha256: str
    """Of the avatar's file."""
    photo_sha256: str
    consent_by: str
    consent_at: str
    licences: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """What a data set was made from."""

    creator: str
    """Program and version."""
    created: str
    """ISO 8601 in UTC."""
    avatar: AvatarEntry
    motion: MotionEntry
    frames: int
    """Of each look."""
    train_frames: int
    """The first so many are for training, the others for tests."""
    size: int
    """Width and height of the pictures, pixels."""
    looks: tuple[LookEntry, ...]
    """The person as they are comes first."""


@dataclass(frozen=True, eq=False)
class DatasetLook:
    """The frames of one look."""

    name: str
    entry: LookEntry | None
    """None in a folder of another program, which has no manifest."""
    frames: tuple[DatasetFrame, ...]
    """By index."""
    tracks: Path | None = None
    """Point tracks of what the look adds (`offline.dataset.tracks`); None: the data set has none."""

    def files(self) -> Iterator[Path]:
        """All files that are named, those of several frames several times."""
        for frame in self.frames:
            yield from frame.files.present()
        if self.tracks is not None:
            yield self.tracks

    def split(self, name: Split) -> tuple[DatasetFrame, ...]:
        """The frames of one split."""
        return tuple(frame for frame in self.frames if frame.split == name)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set that was read."""

    root: Path
    manifest: Manifest | None
    """None in a folder of another program."""
    looks: tuple[DatasetLook, ...]

    def look(self, name: str) -> DatasetLook | None:
        """The look of a name, or None."""
        return next((look for look in self.looks if look.name == name), None)
