"""Gains by region, dead zone and limits, applied to a motion before it reaches the avatar."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perse_live.arrays import Float32Array, FloatArray
from perse_live.head import landmarks as lm
from perse_live.head.expressions import EXPRESSION_NAMES
from perse_live.rotations import FACING_CAMERA, from_axis_angle, to_axis_angle
from runtime.tracker import TrackedFrame

# An avatar from one photo looks right up to about 35 degrees
_FREE_TURN, _MAX_TURN = (np.radians(30.0), np.radians(48.0))
_MAX_GAZE = 0.52  # radians; eyes turn no farther, and detectors exaggerate
# Metres; beyond it the picture would end before or below the head
_MAX_SHIFT = np.array([0.08, 0.035, 0.12])


@dataclass(frozen=True)
class Gains:
    """Gain of the motion by region; 1 as tracked, 0 none."""

    head: float = 1.0
    """Turns and shifts of the head."""
    brows: float = 1.0
    """Brows and forehead."""
    eyes: float = 1.0
    """Lids and gaze."""
    mouth: float = 1.0
    """Mouth, jaw, cheeks, nose and tongue."""


def _region(name: str) -> str:
    return "brows" if name.startswith("brow") else "eyes" if name.startswith("eye") else "mouth"


_EXPRESSION_REGIONS = tuple(_region(name) for name in EXPRESSION_NAMES)


def _landmark_regions() -> tuple[str, ...]:
    regions = ["mouth"] * lm.LANDMARK_COUNT
    for points, region in (
        (lm.RIGHT_BROW + lm.LEFT_BROW, "brows"),
        (lm.RIGHT_EYE + lm.LEFT_EYE + lm.IRIS, "eyes"),
    ):
        for point in points:
            regions[point] = region
    return tuple(regions)


_LANDMARK_REGIONS = _landmark_regions()


def strengthened(motion: TrackedFrame, gains: Gains, *, dead_zone: float = 0.0) -> TrackedFrame:
    """A motion relative to rest (facing the camera, shift 0) with gains applied.

    dead_zone: [0, 0.5], expressions weaker than this count as rest; stronger ones are rescaled so that 1 stays 1. The head's
    turn saturates at 48 degrees, its shift at what keeps it in the picture.
    """
    weights = np.array([getattr(gains, region) for region in _EXPRESSION_REGIONS], np.float32)
    expression = np.clip((motion.expression - dead_zone) / (1 - dead_zone), 0, 1) * weights
    spread = np.array([getattr(gains, region) for region in _LANDMARK_REGIONS], np.float32)
    turn = gains.head * to_axis_angle(motion.R_cam_head @ FACING_CAMERA)
    angle = float(np.linalg.norm(turn))
    if angle > _FREE_TURN:
        turn *= _soft_limit(angle, _FREE_TURN, _MAX_TURN) / angle
    shift = _MAX_SHIFT * np.tanh(gains.head * motion.t_cam_head / _MAX_SHIFT)
    return replace(
        motion,
        expression=np.clip(expression, 0, 1).astype(np.float32),
        gaze=_scaled(motion.gaze, gains.eyes),
        residual=motion.residual * spread[:, None] if gains != Gains() else motion.residual,
        R_cam_head=(from_axis_angle(turn) @ FACING_CAMERA).astype(np.float32),
        t_cam_head=shift.astype(np.float32),
    )


def _scaled(gaze: Float32Array, gain: float) -> Float32Array:
    return (_MAX_GAZE * np.tanh(gaze * gain / _MAX_GAZE)).astype(np.float32)


def _soft_limit(value: float | FloatArray, free: float, most: float) -> float | FloatArray:
    """Identity up to `free`, then saturating towards `most`."""
    return free + (most - free) * np.tanh((value - free) / (most - free))
