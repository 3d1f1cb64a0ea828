"""LivePortrait's networks as animator, where the user has them as ONNX files (Guo et al., LivePortrait, arXiv 2407.03168).

The source picture's face is cropped; an appearance network F makes a feature volume of it, a motion network M finds canonical
keypoints with head pose, expression and scale, in the source and in every driving picture; a network W warps the volume by the
two sets of keypoints and a decoder G draws the picture (here one file, as they are usually exported). Stitching S corrects the
driving keypoints so that the crop fits back into the whole picture. Keypoints follow the paper's equation (2):

    x = s (x_c R + delta) + t

and, relative to the first driving frame, its section 3.2: R_d = R_d,i R_d,0^-1 R_s, delta_d = delta_s + delta_d,i - delta_d,0,
and likewise for scale and translation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from offline.animation.contract import Moment
from offline.editing.contract import EditedPortrait, View
from offline.editing.donor import Progress
from offline.editing.look_pictures import LookRenderer
from offline.training.contract import TrainingFrame
from perse_live.arrays import Float32Array, FloatArray, UInt8Array
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.errors import UserError, one_line
from perse_live.extras import missing_extra

FILES: Mapping[str, tuple[str, ...]] = {
    "appearance": ("appearance_feature_extractor.onnx",),
    "motion": ("motion_extractor.onnx",),
    "generator": ("warping_spade.onnx", "warping_spade-fix.onnx"),
    "stitching": ("stitching.onnx",),
}
"""The file of each network, as the conversions name them; stitching may be missing."""
_SIDE = 256  # pixels of the networks' input
_CROP = 2.3  # side of the crop over the face's height, as LivePortrait crops
_UP = 0.125  # how far the crop's middle lies above the face's, of the side
_BIN_DEGREES, _BIN_START = 3.0, -97.5  # head angles come as scores of 66 bins of 3 degrees
_FEATHER = 0.06  # of the crop's side: over which it is blended into the picture
# Of its frames in training: beautiful, but not exactly the avatar's pose
_LIVEPORTRAIT_WEIGHT = 0.5


@dataclass(frozen=True, eq=False)
class Keypoints:
    """What the motion network says of a face."""

    canonical: Float32Array
    """(K, 3) x_c."""
    rotation: Float32Array
    """(3, 3) R."""
    expression: Float32Array
    """(K, 3) delta."""
    scale: float
    """s."""
    translation: Float32Array
    """(3,) t; its depth is not used."""

    def posed(self) -> Float32Array:
        """The keypoints (K, 3) in the picture: equation (2)."""
        t = self.translation * np.array([1, 1, 0], np.float32)
        return (self.scale * (self.canonical @ self.rotation + self.expression) + t).astype(
            np.float32
        )


def relative_motion(source: Keypoints, driving: Keypoints, first: Keypoints) -> Keypoints:
    """The source's face doing what the driving one does beyond its first frame."""
    return Keypoints(
        source.canonical,
        driving.rotation @ first.rotation.T @ source.rotation,
        source.expression + driving.expression - first.expression,
        source.scale * driving.scale / first.scale,
        source.translation + driving.translation - first.translation,
    )


def head_rotation(pitch: float, yaw: float, roll: float) -> Float32Array:
    """LivePortrait's rotation (3, 3), to be multiplied from the right: degrees, about x, then y, then z, transposed."""
    x, y, z = np.radians([pitch, yaw, roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return (about_z @ about_y @ about_x).T.astype(np.float32)


class LivePortrait:
    """The networks; for one thread at a time."""

    def __init__(self, folder: Path, *, threads: int = 2) -> None:
        """folder: with the ONNX files, as `FILES` names them.

        Raises UserError, one line, where one is missing, damaged, or has other inputs and outputs than LivePortrait's.
        """
        self._sessions = {name: _session(path, threads) for name, path in _found(folder).items()}
        self._folder = folder
        motion = self._sessions["motion"]
        names = [one.name for one in motion.get_outputs()]
        if len(names) != 7:
            raise UserError(
                f"{folder}: its motion extractor has {len(names)} outputs, LivePortrait's has 7; use its ONNX files"
            )
        self._motion_outputs = _by_meaning(names)

    def keypoints(self, crop: UInt8Array) -> Keypoints:
        """The motion network's answer for a crop (H, W, 3) of a face."""
        out = self._run("motion", _tensor(crop))
        named = {meaning: out[k] for meaning, k in self._motion_outputs.items()}
        pitch, yaw, roll = (_degrees(named[angle]) for angle in ("pitch", "yaw", "roll"))
        return Keypoints(
            named["kp"].reshape(-1, 3),
            head_rotation(pitch, yaw, roll),
            named["exp"].reshape(-1, 3),
            float(named["scale"].reshape(-1)[0]),
            named["t"].reshape(-1)[:3],
        )

    def features(self, crop: UInt8Array) -> Float32Array:
        """The appearance network's volume of a crop, (1, C, D, H, W)."""
        return self._run("appearance", _tensor(crop))[0]

    def picture(
        self, features: Float32Array, source: Keypoints, driving: Keypoints
    ) -> Float32Array:
        """The source's crop with the driving keypoints, (H, W, 3) in [0, 1]."""
        before, after = source.posed()[None], driving.posed()[None]
        if "stitching" in self._sessions:
            after = self._stitched(before, after)
        inputs = self._sessions["generator"].get_inputs()
        values = self._generator_order(inputs, features, after, before)
        drawn = self._call(
            "generator", {one.name: value for one, value in zip(inputs, values, strict=True)}
        )[0]
        return np.clip(np.moveaxis(drawn[0], 0, -1), 0, 1).astype(np.float32)

    def _stitched(self, before: Float32Array, after: Float32Array) -> Float32Array:
        """Driving keypoints moved so that shoulders and outline stay: the network gives an offset for each, and one for all."""
        count = before.shape[1]
        joined = np.concatenate([before.reshape(1, -1), after.reshape(1, -1)], 1)
        delta = self._run("stitching", joined)[0].reshape(-1)
        offset = delta[: 3 * count].reshape(1, count, 3)
        shift = np.zeros(3, np.float32)
        shift[:2] = delta[3 * count : 3 * count + 2]
        return (after + offset + shift).astype(np.float32)

    @staticmethod
    def _generator_order(
        inputs: Sequence[Any], features: Float32Array, driving: Float32Array, source: Float32Array
    ) -> list[Float32Array]:
        """Values in the order of the inputs: conversions differ in it, names tell them apart."""
        values: list[Float32Array] = []
        keypoints = [driving, source]
        for one in inputs:
            name = str(one.name).lower()
            if len(one.shape) == 5 or "feature" in name:
                values.append(features)
            elif "source" in name or name.endswith("_s"):
                values.append(source)
            elif "driv" in name or name.endswith("_d"):
                values.append(driving)
            else:
                values.append(keypoints[len([v for v in values if v.ndim == 3])])
        return values

    def _run(self, name: str, value: Float32Array) -> list[Float32Array]:
        return self._call(name, {self._sessions[name].get_inputs()[0].name: value})

    def _call(self, name: str, given: dict[str, Float32Array]) -> list[Float32Array]:
        try:
            return [np.asarray(out, np.float32) for out in self._sessions[name].run(None, given)]
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise UserError(
                f"{self._folder}: {FILES[name][0]} does not take LivePortrait's inputs ({one_line(error)})"
            ) from error


def animate_by_liveportrait(
    avatar: Avatar,
    edited: EditedPortrait,
    motion: Sequence[Moment],
    networks: LivePortrait,
    *,
    progress: Progress,
) -> list[TrainingFrame]:
    """Pictures of the edited portrait in motion.

    The avatar itself, drawn without the look, is the driver: so poses and expressions are known for every frame.
    """
    view = edited.view
    crop = face_crop(avatar, view)
    source = warped_crop(edited.rgb, crop)
    features, still = networks.features(source), networks.keypoints(source)
    plain = LookRenderer(avatar, view.camera)
    look = LookRenderer(avatar, view.camera, edited.teacher.look)
    grey = (0.5, 0.5, 0.5)

    def driver(moment: View) -> Keypoints:
        return networks.keypoints(
            warped_crop(
                np.rint(plain.picture(moment, background=grey) * 255).astype(np.uint8), crop
            )
        )

    first = driver(view)
    frames: list[TrainingFrame] = []
    for k, moment in enumerate(motion):
        progress("animating with LivePortrait", k / len(motion))
        seen = View(view.camera, moment.pose, moment.expression, moment.gaze)
        drawn = networks.picture(features, still, relative_motion(still, driver(seen), first))
        image = pasted(edited.rgb, drawn, crop)
        frames.append(
            TrainingFrame(
                image,
                look.mask(seen),
                view.camera,
                moment.pose,
                moment.expression,
                moment.gaze,
                _LIVEPORTRAIT_WEIGHT,
            )
        )
    progress("animating with LivePortrait", 1.0)
    return frames


@dataclass(frozen=True, eq=False)
class Crop:
    """A square of a picture."""

    matrix: FloatArray
    """(2, 3) from the picture's pixels to the crop's, `_SIDE` on a side."""


def face_crop(avatar: Avatar, view: View) -> Crop:
    """The crop of a face as LivePortrait takes it: upright, by the avatar's landmarks."""
    pose, camera = view.pose, view.camera
    seen = camera.project(neutral_landmarks(avatar) @ pose.R_cam_head.T + pose.t_cam_head)
    low, high = seen.min(0), seen.max(0)
    side = float((high - low).max()) * _CROP
    middle = (low + high) / 2 - np.array([0, _UP * side])
    scale = _SIDE / side
    offset = _SIDE / 2 - scale * middle - 0.5 + 0.5 * scale
    return Crop(np.array([[scale, 0, offset[0]], [0, scale, offset[1]]]))


def warped_crop(rgb: UInt8Array, crop: Crop) -> UInt8Array:
    """The crop (256, 256, 3) of a picture."""
    return np.asarray(
        cv2.warpAffine(
            rgb,
            crop.matrix,
            (_SIDE, _SIDE),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


def pasted(rgb: UInt8Array, drawn: Float32Array, crop: Crop) -> Float32Array:
    """A crop of any size blended into its picture (H, W, 3); in [0, 1]. Outside the crop the picture is unchanged, to the bit."""
    height, width = rgb.shape[:2]
    larger = drawn.shape[0] / _SIDE
    to_crop = crop.matrix * larger
    to_crop[:, 2] += 0.5 * larger - 0.5  # pixel centres lie at +0.5 in both
    back = cv2.invertAffineTransform(to_crop)
    margin = max(1, round(_FEATHER * drawn.shape[0]))
    soft = np.zeros(drawn.shape[:2], np.float32)
    soft[margin:-margin, margin:-margin] = 1
    soft = cv2.blur(soft, (margin, margin))
    share = np.clip(cv2.warpAffine(soft, back, (width, height), flags=cv2.INTER_LINEAR), 0, 1)[
        ..., None
    ]
    whole = cv2.warpAffine(drawn, back, (width, height), flags=cv2.INTER_LINEAR)
    return (share * whole + (1 - share) * (rgb / np.float32(255))).astype(np.float32)


def _found(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name, candidates in FILES.items():
        there = [folder / file for file in candidates if (folder / file).is_file()]
        if there:
            found[name] = there[0]
        elif name != "stitching":
            raise UserError(
                f"{folder}: no {candidates[0]}: give the folder with LivePortrait's ONNX files"
            )
    return found


def _session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise missing_extra("LivePortrait", "generate", error) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Spin-waiting slows other threads down
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = [
        name
        for name in ("CUDAExecutionProvider", "CPUExecutionProvider")
        if name in onnxruntime.get_available_providers()
    ]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:  # as in _call
        raise UserError(
            f"{path}: cannot be loaded as an ONNX network; fetch the file again"
        ) from error


def _by_meaning(names: Sequence[str]) -> dict[str, int]:
    """Index of each output of the motion network: by its name where known, else in LivePortrait's order."""
    order = ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")
    lowered = [name.lower() for name in names]
    if set(order) <= set(lowered):
        return {meaning: lowered.index(meaning) for meaning in order}
    return {meaning: k for k, meaning in enumerate(order)}


def _degrees(scores: Float32Array) -> float:
    """An angle from the scores of its bins: their expectation. A single number is the angle itself."""
    flat = scores.reshape(-1)
    if flat.size == 1:
        return float(flat[0])
    share = np.exp(flat - flat.max())
    share /= share.sum()
    return float((share * np.arange(flat.size)).sum() * _BIN_DEGREES + _BIN_START)


def _tensor(crop: UInt8Array) -> Float32Array:
    """(1, 3, 256, 256) in [0, 1]."""
    small = cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.moveaxis(small, -1, 0)[None] / 255, np.float32)
