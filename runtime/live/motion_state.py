"""Motion and attribute weights of a drawn frame, for recordings and for viewers that draw by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from perse_live.motion import MotionState
from runtime.stage import Motion

_NO_SECONDARY = np.zeros(4, np.float32)


def state_of(motion: Motion, weights: Mapping[str, float], names: Sequence[str]) -> MotionState:
    """A motion with the weights of attributes by name, in the order of `names`; 0 where one is missing."""
    return MotionState(
        motion.expression,
        motion.gaze,
        motion.pose.R_cam_head,
        motion.pose.t_cam_head,
        motion.pose.R_cam_body,
        _NO_SECONDARY if motion.secondary is None else motion.secondary,
        np.array([weights.get(name, 0.0) for name in names], np.float32),
    )
