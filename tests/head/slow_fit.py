"""The frame fit written plainly, in float64 with numpy's solver: what `perse_live.head.gauss_newton` is tested against."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float64Array, FloatArray
from perse_live.camera import Camera
from perse_live.rotations import from_axis_angle

_PIVOTS, _TOLERANCE = 12, 1e-9


def linearised(
    points: FloatArray,
    basis: FloatArray,
    rotation: FloatArray,
    translation: FloatArray,
    camera: Camera,
    target: FloatArray,
    weights: FloatArray,
    robust_scale: float,
) -> tuple[Float64Array, Float64Array]:
    """Weighted residuals (2L,), x and y of each landmark in turn, and the Jacobian (2L, 6 + P).

    points: (L, 3) metres, head frame; basis: (P, L, 3); target: (L, 2) pixels; weights: (L,) per pixel.
    """
    turned = points @ rotation.T
    posed = turned + translation
    error = target - camera.project(posed)
    weight = weights / np.sqrt(1 + (error**2).sum(1) * (weights / robust_scale) ** 2)
    # Derivative of the pixel by the point in the camera frame
    by_point = np.zeros((len(points), 2, 3))
    by_point[:, 0, 0], by_point[:, 1, 1] = camera.fx / posed[:, 2], camera.fy / posed[:, 2]
    by_point[:, 0, 2] = -camera.fx * posed[:, 0] / posed[:, 2] ** 2
    by_point[:, 1, 2] = -camera.fy * posed[:, 1] / posed[:, 2] ** 2
    by_rotation = np.stack([np.cross(axis, turned) for axis in np.eye(3)], 2)
    by_translation = np.broadcast_to(np.eye(3), (len(points), 3, 3))
    by_parameter = np.concatenate(
        [by_rotation, by_translation, (basis @ rotation.T).transpose(1, 2, 0)], 2
    )
    jacobian = weight[:, None, None] * (by_point @ by_parameter)
    return (error * weight[:, None]).reshape(-1), jacobian.reshape(2 * len(points), -1)


def bounded_step(
    normal: FloatArray, gradient: FloatArray, first: int, low: FloatArray, high: FloatArray
) -> Float64Array:
    """The minimiser of s'As/2 - g's within bounds from `first` on: block principal pivoting from the unconstrained step."""
    side = np.zeros(len(gradient), np.int8)
    floor, ceiling = np.full(len(gradient), -np.inf), np.full(len(gradient), np.inf)
    floor[first:], ceiling[first:] = low, high
    step = np.linalg.solve(normal, gradient)
    for _ in range(_PIVOTS):
        fixed = side != 0
        below, above = ~fixed & (step < floor), ~fixed & (step > ceiling)
        multiplier = gradient - normal @ step
        freed = (side < 0) & (multiplier > _TOLERANCE) | (side > 0) & (multiplier < -_TOLERANCE)
        if not (below.any() or above.any() or freed.any()):
            return np.asarray(step, np.float64)
        side[below], side[above], side[freed] = -1, 1, 0
        fixed = side != 0
        free = ~fixed
        step = np.where(side < 0, floor, np.where(side > 0, ceiling, 0.0))
        step[free] = np.linalg.solve(
            normal[np.ix_(free, free)], gradient[free] - normal[np.ix_(free, fixed)] @ step[fixed]
        )
    return np.asarray(np.clip(step, floor, ceiling), np.float64)


def fit(
    landmarks: FloatArray,
    prior: FloatArray,
    camera: Camera,
    neutral: FloatArray,
    actions: FloatArray,
    weights: FloatArray,
    expression_weights: FloatArray,
    robust_scale: float,
    start: tuple[FloatArray, FloatArray, FloatArray],
    steps: int,
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Rotation (3, 3), translation (3,) and expression (52,) after undamped Gauss-Newton steps from a start of the same kind."""
    rotation, translation, expression = (np.asarray(value, np.float64) for value in start)
    for _ in range(steps):
        points = neutral + np.tensordot(expression, actions, 1)
        residual, jacobian = linearised(
            points, actions, rotation, translation, camera, landmarks, weights, robust_scale
        )
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ residual
        normal[6:, 6:] += np.diag(expression_weights)
        gradient[6:] += expression_weights * (prior - expression)
        step = bounded_step(normal, gradient, 6, -expression, 1 - expression)
        rotation, translation = from_axis_angle(step[:3]) @ rotation, translation + step[3:6]
        expression = np.clip(expression + step[6:], 0, 1)
    return rotation, translation, expression
