"""Kernels of a Gauss-Newton fit of pose and linear shape parameters to landmarks: normal equations, and a bounded step.

Arrays keep the landmarks in the last axis, so that every inner loop runs over contiguous memory and vectorises. Of the normal
matrix J'J only one triangle is computed, since it is symmetric.
"""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float32Array, Float64Array
from perse_live.jit import kernel

POSE_PARAMETERS = 6
"""Rotation vector (about the head's origin, camera axes), then translation."""

_MAX_PIVOTS = 12  # exchanges of the active set before the step is clipped
_TOLERANCE = 1e-9  # by which a multiplier must point inwards before its unknown is freed


@kernel
def linearise(
    points: Float32Array,
    basis: Float32Array,
    rotation: Float32Array,
    translation: Float32Array,
    intrinsics: Float32Array,
    target: Float32Array,
    weights: Float32Array,
    robust_scale: float,
    jacobian: Float32Array,
    residual: Float32Array,
) -> None:
    """Weighted reprojection errors and their Jacobian.

    points: (3, L) metres, head frame; basis: (3, P, L) derivative of the points by the shape parameters; rotation: (3, 3) and
    translation: (3,) head to camera; intrinsics: (4,) fx, fy, cx, cy; target: (L, 2) pixels; weights: (L,) inverse standard
    deviations, per pixel; robust_scale: of the pseudo-Huber weight, in standard deviations. Writes residual (2L,), target minus
    projection times the weight, first all x, then all y, and jacobian (6 + P, 2L): a row for each parameter, pose first.
    """
    count, parameters = points.shape[1], basis.shape[1]
    fx, fy, cx, cy = intrinsics[0], intrinsics[1], intrinsics[2], intrinsics[3]
    gradient = np.empty((6, count), np.float32)  # of x and y by the point in the head frame
    scale = np.float32(1.0 / (robust_scale * robust_scale))
    one, zero = np.float32(1.0), np.float32(0.0)
    for k in range(count):
        p0, p1, p2 = points[0, k], points[1, k], points[2, k]
        x = rotation[0, 0] * p0 + rotation[0, 1] * p1 + rotation[0, 2] * p2
        y = rotation[1, 0] * p0 + rotation[1, 1] * p1 + rotation[1, 2] * p2
        z = rotation[2, 0] * p0 + rotation[2, 1] * p1 + rotation[2, 2] * p2
        inverse = one / (z + translation[2])
        u, v = (x + translation[0]) * inverse, (y + translation[1]) * inverse
        error_x, error_y = target[k, 0] - (fx * u + cx), target[k, 1] - (fy * v + cy)
        squared = (error_x * error_x + error_y * error_y) * weights[k] * weights[k]
        w = weights[k] / np.sqrt(one + squared * scale)
        residual[k], residual[count + k] = error_x * w, error_y * w
        # derivative of the weighted pixel by the point in the camera frame
        ux, uz = fx * inverse * w, -fx * u * inverse * w
        vy, vz = fy * inverse * w, -fy * v * inverse * w
        # the camera-frame point moves by (rotation vector) x (R p) + (translation)
        jacobian[0, k], jacobian[1, k], jacobian[2, k] = uz * y, ux * z - uz * x, -ux * y
        jacobian[3, k], jacobian[4, k], jacobian[5, k] = ux, zero, uz
        k2 = count + k
        jacobian[0, k2], jacobian[1, k2], jacobian[2, k2] = vz * y - vy * z, -vz * x, vy * x
        jacobian[3, k2], jacobian[4, k2], jacobian[5, k2] = zero, vy, vz
        for c in range(3):
            gradient[c, k] = ux * rotation[0, c] + uz * rotation[2, c]
            gradient[3 + c, k] = vy * rotation[1, c] + vz * rotation[2, c]
    for j in range(parameters):
        row = jacobian[6 + j]
        for k in range(count):
            b0, b1, b2 = basis[0, j, k], basis[1, j, k], basis[2, j, k]
            row[k] = gradient[0, k] * b0 + gradient[1, k] * b1 + gradient[2, k] * b2
            row[count + k] = gradient[3, k] * b0 + gradient[4, k] * b1 + gradient[5, k] * b2


@kernel
def normal_equations(
    jacobian: Float32Array, residual: Float32Array, normal: Float64Array, gradient: Float64Array
) -> None:
    """J'J into normal (N, N) and J'r into gradient (N,), of a transposed Jacobian (N, M) and residuals (M,)."""
    parameters, rows = jacobian.shape
    zero = np.float32(0.0)
    for i in range(0, parameters, 2):
        first, second = jacobian[i], jacobian[min(i + 1, parameters - 1)]
        a, b = zero, zero
        for k in range(rows):
            a += first[k] * residual[k]
            b += second[k] * residual[k]
        gradient[i], gradient[min(i + 1, parameters - 1)] = a, b
        for j in range(0, i + 2, 2):
            # two rows against two: each value that is loaded serves two products
            third, fourth = jacobian[min(j, parameters - 1)], jacobian[min(j + 1, parameters - 1)]
            p, q, s, t = zero, zero, zero, zero
            for k in range(rows):
                p += first[k] * third[k]
                q += first[k] * fourth[k]
                s += second[k] * third[k]
                t += second[k] * fourth[k]
            i2, j2 = min(i + 1, parameters - 1), min(j + 1, parameters - 1)
            normal[i, j], normal[j, i] = p, p
            normal[i, j2], normal[j2, i] = q, q
            normal[i2, j], normal[j, i2] = s, s
            normal[i2, j2], normal[j2, i2] = t, t


@kernel
def _solve_free(
    normal: Float64Array,
    gradient: Float64Array,
    side: np.ndarray,
    step: Float64Array,
    factor: Float64Array,
    right: Float64Array,
    free: np.ndarray,
) -> bool:
    """Solve for the unknowns whose side is 0, the others fixed at step, by Cholesky; False where A is not positive definite."""
    count = 0
    for i in range(len(gradient)):
        if side[i] == 0:
            free[count] = i
            count += 1
    for m in range(count):
        i = free[m]
        value = gradient[i]
        for j in range(len(gradient)):
            if side[j] != 0:
                value -= normal[i, j] * step[j]
        right[m] = value
        for n in range(m + 1):
            total = normal[i, free[n]]
            for q in range(n):
                total -= factor[m, q] * factor[n, q]
            if n < m:
                factor[m, n] = total * factor[n, n]
            elif total <= 0.0:
                return False
            else:
                # The inverse of the diagonal: a product instead of a quotient
                factor[m, m] = 1.0 / np.sqrt(total)
    for m in range(count):
        total = right[m]
        for n in range(m):
            total -= factor[m, n] * right[n]
        right[m] = total * factor[m, m]
    for m in range(count - 1, -1, -1):
        total = right[m] * factor[m, m]
        right[m] = total
        for n in range(m):
            right[n] -= factor[m, n] * total
    for m in range(count):
        step[free[m]] = right[m]
    return True


@kernel
def _bounded_step(
    normal: Float64Array,
    gradient: Float64Array,
    first: int,
    low: Float64Array,
    high: Float64Array,
    step: Float64Array,
) -> bool:
    count = len(gradient)
    # -1: fixed at the lower bound, +1: at the upper
    side, exchange = (np.zeros(count, np.int8), np.zeros(count, np.int8))
    factor, right, free = np.empty((count, count)), np.empty(count), np.empty(count, np.int64)
    # warm start: an unknown that is at a bound and pulled outwards most often stays there
    for i in range(first, count):
        if low[i - first] >= 0.0 and gradient[i] < 0.0:
            side[i], step[i] = -1, low[i - first]
        elif high[i - first] <= 0.0 and gradient[i] > 0.0:
            side[i], step[i] = 1, high[i - first]
    for _ in range(_MAX_PIVOTS):
        if not _solve_free(normal, gradient, side, step, factor, right, free):
            return False
        optimal = True
        for i in range(first, count):
            exchange[i] = side[i]
            if side[i] == 0:
                if step[i] < low[i - first]:
                    exchange[i] = -1
                elif step[i] > high[i - first]:
                    exchange[i] = 1
            else:
                multiplier = gradient[i]
                for j in range(count):
                    multiplier -= normal[i, j] * step[j]
                if multiplier * side[i] < -_TOLERANCE:
                    exchange[i] = 0
            optimal = optimal and exchange[i] == side[i]
        if optimal:
            return True
        for i in range(first, count):
            side[i] = exchange[i]
            if side[i] != 0:
                step[i] = low[i - first] if side[i] < 0 else high[i - first]
    if not _solve_free(normal, gradient, side, step, factor, right, free):
        return False
    for i in range(first, count):
        step[i] = min(max(step[i], low[i - first]), high[i - first])
    return True


def bounded_step(
    normal: Float64Array, gradient: Float64Array, first: int, low: Float64Array, high: Float64Array
) -> Float64Array:
    """The step s that minimises s'As/2 - g's where the unknowns from `first` on are bounded.

    normal: (N, N) A, symmetric; gradient: (N,) g; low, high: (N - first,) bounds of the step, low <= 0 <= high. Method: block
    principal pivoting (Portugal, Judice & Vicente, Math. Comp. 1994): all unknowns that break a bound are fixed at it, all that
    are fixed but pulled inwards are freed, until neither happens; a handful of rounds, each one Cholesky factorisation of the
    free unknowns. Where that cycles, which it rarely does, the last step is clipped.
    Raises np.linalg.LinAlgError where A is not positive definite.
    """
    step = np.zeros(len(gradient))
    if not _bounded_step(normal, gradient, first, low, high, step):
        raise np.linalg.LinAlgError("the normal matrix is not positive definite")
    return step
