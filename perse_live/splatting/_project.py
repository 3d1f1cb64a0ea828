"""From Gaussians in the camera frame to ellipses in the picture (Zwicker et al. 2001, EWA splatting; constants as in gsplat)."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float32Array, Int32Array
from perse_live.jit import inline_kernel, kernel
from perse_live.splatting._elementary import log2
from perse_live.splatting._lanes import (
    LANES,
    IntLanes,
    Lanes,
    bits_of,
    fetch_add,
    floor,
    int_maximum,
    load,
    load_rows3,
    load_rows4,
    mask_bits,
    maximum,
    minimum,
    select,
    splat_integer,
    square_root,
    store,
    store_records,
    truncate,
)
from perse_live.splatting._layout import (
    ALPHA_MIN,
    CHUNK,
    CLIP_MARGIN,
    EPS2D,
    EXPONENT_SCALE,
    FOV_MARGIN,
    LN2,
    LOG2_ALPHA_MIN,
    NEAR_PLANE,
    NORM_MIN,
    RECORD,
    TILE,
    Int64Array,
    UInt64Array,
)

_DETERMINANT_MAX = 1e37
"""Ellipses of a larger determinant have axes beyond 1e9 pixels; float32 cannot hold them."""


@inline_kernel
def rotation_matrix(
    w: Lanes, x: Lanes, y: Lanes, z: Lanes
) -> tuple[tuple[Lanes, Lanes, Lanes], ...]:
    """Rows of the rotation matrices of unit quaternions."""
    return (
        (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)),
        (2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)),
        (2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)),
    )


@inline_kernel
def jacobian(
    x: Lanes,
    y: Lanes,
    inverse_z: Lanes,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    width: int,
    height: int,
) -> tuple[Lanes, Lanes, Lanes, Lanes, Lanes, Lanes]:
    """Partial derivatives of the pixel by the point, at x/z and y/z clamped to a little more than the picture.

    Returns d px / d x, d px / d z, d py / d y, d py / d z, and the clamped x/z and y/z.
    """
    margin_x, margin_y = FOV_MARGIN * 0.5 * width / fx, FOV_MARGIN * 0.5 * height / fy
    u = maximum(minimum(x * inverse_z, (width - cx) / fx + margin_x), -cx / fx - margin_x)
    v = maximum(minimum(y * inverse_z, (height - cy) / fy + margin_y), -cy / fy - margin_y)
    jx, jy = fx * inverse_z, fy * inverse_z
    return jx, -jx * u, jy, -jy * v, u, v


@inline_kernel
def _largest_magnitude(largest: IntLanes, a: Lanes, b: Lanes, c: Lanes) -> IntLanes:
    """As bit patterns, which order floats by magnitude and put infinities and NaNs above all others."""
    return int_maximum(
        int_maximum(largest, bits_of(a) & 0x7FFFFFFF),
        int_maximum(bits_of(b) & 0x7FFFFFFF, bits_of(c) & 0x7FFFFFFF),
    )


@kernel
def project_chunks(
    claims: Int64Array,
    claim: int,
    participant: int,
    means: Float32Array,
    mean_bits: Int32Array,
    quats: Float32Array,
    scales: Float32Array,
    opacities: Float32Array,
    colors: Float32Array,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    width: int,
    height: int,
    records: Float32Array,
    rectangles: Int32Array,
    visible: UInt64Array,
    visible_counts: Int64Array,
    magnitudes: Int32Array,
    tile_counts: Int32Array,
) -> None:
    """Project chunk after chunk until none is left to claim.

    claims[claim]: number of chunks taken so far, shared by all threads. means, quats ... colors: flat, of at least 16
    Gaussians; mean_bits: the memory of `means` as int32.
    Written per Gaussian: records (16 floats each) and rectangles, the tiles it touches (left | right << 8 | top << 16 |
    bottom << 24, -1 if it is not seen). Per chunk: `visible` (depth bits << 32 | index, from the chunk's first index on),
    visible_counts, and magnitudes (16 each): the largest bit patterns, sign apart, of all its numbers.
    tile_counts[participant]: Gaussians per tile.
    """
    count = opacities.shape[0]
    tiles_across = (width + TILE - 1) // TILE
    while True:
        chunk = fetch_add(claims, claim, 1)
        begin = chunk * CHUNK
        if begin >= count:
            break
        end = min(begin + CHUNK, count)
        seen = begin
        magnitude = splat_integer(0)
        at = begin
        while at < end:
            # The last sixteen may overlap the ones before, and are then written twice alike
            start = min(at, count - LANES)
            x, y, z = load_rows3(means, 3 * start)
            qw, qx, qy, qz = load_rows4(quats, 4 * start)
            s0, s1, s2 = load_rows3(scales, 3 * start)
            red, green, blue = load_rows3(colors, 3 * start)
            opacity = load(opacities, start)
            magnitude = _largest_magnitude(
                _largest_magnitude(
                    _largest_magnitude(_largest_magnitude(magnitude, x, y, z), qw, qx, qy),
                    qz,
                    s0,
                    s1,
                ),
                s2,
                red,
                green,
            )
            magnitude = _largest_magnitude(magnitude, blue, opacity, opacity)

            unit = 1.0 / square_root(maximum(qw * qw + qx * qx + qy * qy + qz * qz, NORM_MIN))
            r = rotation_matrix(qw * unit, qx * unit, qy * unit, qz * unit)
            inverse_z = 1.0 / z
            jx, jxz, jy, jyz, _, _ = jacobian(x, y, inverse_z, fx, fy, cx, cy, width, height)
            # the columns of J R diag(scales): one 2-vector per axis of the Gaussian
            ax, ay = s0 * (jx * r[0][0] + jxz * r[2][0]), s0 * (jy * r[1][0] + jyz * r[2][0])
            bx, by = s1 * (jx * r[0][1] + jxz * r[2][1]), s1 * (jy * r[1][1] + jyz * r[2][1])
            dx, dy = s2 * (jx * r[0][2] + jxz * r[2][2]), s2 * (jy * r[1][2] + jyz * r[2][2])
            sxx, syy, sxy = (
                ax * ax + bx * bx + dx * dx,
                ay * ay + by * by + dy * dy,
                ax * ay + bx * by + dx * dy,
            )
            # det(Q Q^T + eps I) by the squared minors of Q: no cancellation for thin, long ellipses
            ab, ad, bd = ax * by - bx * ay, ax * dy - dx * ay, bx * dy - dx * by
            determinant = ab * ab + ad * ad + bd * bd + EPS2D * (sxx + syy) + EPS2D * EPS2D
            sxx, syy = sxx + EPS2D, syy + EPS2D

            log2_opacity = log2(maximum(minimum(opacity, 1.0), ALPHA_MIN))
            # Squared Mahalanobis radius at which alpha = ALPHA_MIN
            reach = 2 * LN2 * (log2_opacity - LOG2_ALPHA_MIN)
            inverse_syy = 1.0 / syy
            half_width, half_height = square_root(reach * sxx), square_root(reach * syy)
            mean_x, mean_y = fx * (x * inverse_z) + cx, fy * (y * inverse_z) + cy
            # first and last pixels whose centres may be reached
            left = floor(maximum(mean_x - half_width + (0.5 - CLIP_MARGIN), 0.0))
            top = floor(maximum(mean_y - half_height + (0.5 - CLIP_MARGIN), 0.0))
            right = floor(minimum(mean_x + half_width - (0.5 - CLIP_MARGIN), width - 1.0))
            bottom = floor(minimum(mean_y + half_height - (0.5 - CLIP_MARGIN), height - 1.0))
            keep = (
                (z >= NEAR_PLANE)
                & (opacity >= ALPHA_MIN)
                & (determinant < _DETERMINANT_MAX)
                & (right >= left)
                & (bottom >= top)
            )

            variance_e = determinant * inverse_syy  # of x at a given y
            store_records(
                records,
                RECORD * start,
                (
                    mean_x,
                    mean_y,
                    EXPONENT_SCALE / variance_e,
                    EXPONENT_SCALE * inverse_syy,
                    sxy * inverse_syy,
                    log2_opacity,
                    red,
                    green,
                    blue,
                    half_height,
                    square_root(reach * variance_e),
                    1.0 / maximum(half_height * half_height, 1e-9),
                    sxy / sxx * half_width,
                ),
            )
            horizontal = truncate(left * (1 / TILE)) | (truncate(right * (1 / TILE)) << 8)
            vertical = truncate(top * (1 / TILE)) | (truncate(bottom * (1 / TILE)) << 8)
            store(rectangles, start, select(keep, horizontal | (vertical << 16), splat_integer(-1)))

            kept = mask_bits(keep)
            for index in range(at, start + LANES):
                if (kept >> (index - start)) & 1:
                    visible[seen] = (
                        np.uint64(mean_bits[3 * index + 2]) << np.uint64(32)
                    ) | np.uint64(index)
                    seen += 1
                    rectangle = rectangles[index]
                    for row in range((rectangle >> 16) & 0xFF, ((rectangle >> 24) & 0xFF) + 1):
                        first = row * tiles_across
                        for tile in range(
                            first + (rectangle & 0xFF), first + ((rectangle >> 8) & 0xFF) + 1
                        ):
                            tile_counts[participant, tile] += 1
            at = start + LANES
        store(magnitudes, chunk * LANES, magnitude)
        visible_counts[chunk] = seen - begin
