"""Which pixels of the portrait are skin, hair and clothes.

There is no small, free model for this, so colour and geometry decide together: where the fitted head says what must be skin, hair or
clothes, colours are learned; elsewhere the learned colours and a prior from the geometry are weighed (naive Bayes), and the result is
smoothed along the picture's edges (guided filter, He et al. 2010).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from offline.images import blur, dilate, disk, distance_to, erode, polygon
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.head.landmarks import FACE_OVAL


@dataclass(frozen=True)
class PartMaps:
    """Probabilities of three parts inside the person; each in [0, 1], together 1."""

    skin: Float32Array
    """(H, W) face, ears, neck."""
    hair: Float32Array
    """(H, W) on the head; beards and brows count as skin."""
    clothes: Float32Array
    """(H, W) everything below that is neither."""


def face_oval(landmarks: FloatArray, shape: tuple[int, int]) -> BoolArray:
    """The face's outline filled. landmarks: (478, 2+) pixels. Returns (H, W)."""
    return polygon(landmarks[list(FACE_OVAL), :2], shape)


def classify_parts(
    image: Float32Array,  # (H, W, 3) sRGB in [0, 1]
    alpha: Float32Array,  # (H, W) the person's matte
    landmarks: FloatArray,  # (478, 3) pixels
    rest: Float32Array,  # (H, W, 3) rest position (head frame, metres) of the rig's point seen by the pixel, NaN where none is
    body: BoolArray,  # (H, W) where the rig shows neck, shoulders or chest
    before_face: BoolArray,  # (H, W) beyond the outline of nose, cheeks and chin, where no hair hangs
) -> PartMaps:
    """Tell skin, hair and clothes apart. See the module's text for the method."""
    shape = alpha.shape
    lab = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2LAB)
    unit = float(np.linalg.norm(landmarks[33, :2] - landmarks[263, :2])) / 115
    rows = np.arange(shape[0], dtype=np.float32)[:, None] + 0.5
    up = landmarks[10, :2] - landmarks[152, :2]
    face_height = float(np.linalg.norm(up))
    up = up / face_height
    columns = np.arange(shape[1], dtype=np.float32)[None] + 0.5
    # heights along the face's own axis, in face heights: 0 at the chin, 1 at the top of the forehead
    height = ((columns - landmarks[152, 0]) * up[0] + (rows - landmarks[152, 1]) * up[1]) / face_height
    across = ((rows - landmarks[152, 1]) * up[0] - (columns - landmarks[152, 0]) * up[1]) / face_height  # > 0 to the picture's right
    side = np.abs(across)
    oval = face_oval(landmarks, shape)
    inside = alpha > 0.9
    depth_in_oval = distance_to(~oval)

    brow_height = float(height[np.clip(landmarks[[105, 334], 1].astype(int), 0, shape[0] - 1),
                               np.clip(landmarks[[105, 334], 0].astype(int), 0, shape[1] - 1)].mean())
    with np.errstate(invalid="ignore"):
        core = oval & (rest[..., 1] < 0.02) & (rest[..., 1] > -0.085) & (np.abs(rest[..., 0]) < 0.05)
    if core.sum() < 50:
        core = erode(oval, 10 * unit) & (height < brow_height)
    median = np.median(lab[core], 0)
    spread = np.array([30.0, 10.0, 12.0], np.float32)
    offset = lab - median
    offset[..., 0] = np.where(offset[..., 0] > 0, offset[..., 0] * 0.55, offset[..., 0])  # highlights are skin, shadows may be hair
    unlike_skin = np.sqrt(((offset / spread) ** 2).sum(-1))
    skin_seed = core & (unlike_skin < 1.6)
    skin_seed |= erode(oval, 6 * unit) & (height > brow_height) & (unlike_skin < 2.0)

    outside = ~dilate(oval, 3 * unit)
    rim = inside & (height > 0.72) & (distance_to(alpha < 0.5) < 16 * unit)
    bald = rim.sum() < 50 or float(np.median(unlike_skin[rim])) < 0.9
    hair_seed = inside & outside & (height > 0.25) & (unlike_skin > 2.0)
    if not bald:  # the head's outer rim is hair even where it is as bright as skin
        hair_seed |= rim & outside
    cloth_seed = inside & (height < -0.12) & (unlike_skin > 2.0) & ((side > 0.32) | (height < -0.35))
    cloth_seed |= inside & (height < -0.5) & (side > 0.5)

    skin = _log_likelihood(_mixture(lab[skin_seed], 3), lab)
    hair = _log_likelihood(_mixture(lab[hair_seed], 3), lab)
    clothes = _log_likelihood(_mixture(lab[cloth_seed], 4), lab)

    on_skin_mesh = np.isfinite(rest[..., 0]) & ~body
    neck = body & (side < 0.32) & (height > -0.45)
    skin_prior = 0.06 + 0.9 * blur((oval & (height < brow_height + 0.08)) | ((on_skin_mesh | neck) & (height < brow_height)), 5 * unit)
    with np.errstate(invalid="ignore"):
        forehead = on_skin_mesh & (rest[..., 1] < 0.08) & (rest[..., 2] > -0.03) & (height > brow_height)
    skin_prior = np.maximum(skin_prior, 0.45 * blur(forehead, 5 * unit))
    # beside the fitted head and above the chin hangs hair, whatever its colour
    open_side = ~on_skin_mesh & ~body
    beside = open_side & (distance_to(on_skin_mesh) > 4 * unit) & (height > 0.0) & ~before_face
    skin_prior = np.where(beside, np.where(unlike_skin < 1.0, 0.3, 0.03), skin_prior)
    fringe = np.clip((height - brow_height) * 8, 0, 1)  # hair may cover the forehead from above, not the face below the brows
    side_lock = np.clip(1 - depth_in_oval / (14 * unit), 0, 1)
    inside_oval = np.maximum(fringe, 0.5 * side_lock**2)
    hair_prior = np.clip(0.95 - 1.3 * np.clip(0.05 - height, 0, 0.7), 0.12, 1) * np.where(oval, np.clip(inside_oval, 0.004, 1), 1)
    hair_prior = np.where(open_side & before_face & (height > -0.1), 0.35 * hair_prior, hair_prior)
    cloth_prior = np.clip(-height * 6, 0.002, 1) * np.where(oval, 0.01, 1)
    cloth_prior = np.where(neck & (unlike_skin < 1.5), cloth_prior * 0.2, cloth_prior)
    below = np.clip(-height * 12, 0, 1)
    hair_prior = np.where(below > 0, hair_prior * (1 - below + below * _length_prior(hair, skin, inside & outside, height, across, unit)),
                          hair_prior)
    scores = np.stack([np.clip(skin, -25, 0) + np.log(skin_prior), np.clip(hair, -25, 0) + np.log(hair_prior),
                       np.clip(clothes, -25, 0) + np.log(cloth_prior)], -1)
    scores -= scores.max(-1, keepdims=True)
    probability = np.exp(scores)
    probability /= probability.sum(-1, keepdims=True)
    guide = cv2.ximgproc.createGuidedFilter(image.astype(np.float32), max(2, round(4 * unit)), 1e-3)
    smooth = np.stack([np.clip(guide.filter(np.ascontiguousarray(probability[..., k], np.float32)), 0, 1) for k in range(3)], -1)
    inner = erode(oval, 9 * unit) & (height < brow_height + 0.03)  # eyes and mouths are as dark as hair
    smooth[inner] = np.array([1.0, 0.0, 0.0], np.float32)
    smooth[..., 1] = _keep_connected(smooth[..., 1] * (alpha > 0.05), (height > 0.5) & ~erode(oval, 4 * unit), unit)
    smooth[..., 0] += 1e-4
    smooth /= smooth.sum(-1, keepdims=True)
    return PartMaps(*(np.ascontiguousarray(smooth[..., k], np.float32) for k in range(3)))


def _length_prior(hair: FloatArray, skin: FloatArray, beside: BoolArray, height: FloatArray, across: FloatArray,
                  unit: float) -> Float32Array:
    """How plausible hair is below the chin, (H, W) in [0, 1]: only on a side where it already hangs beside the jaw, and near the neck.

    Without this a dark shirt under dark hair becomes hair.
    """
    prior = np.full(height.shape, 0.01, np.float32)
    for sign in (-1.0, 1.0):
        like_hair = beside & (height > 0.02) & (across * sign > 0) & (hair > skin) & (hair > -20)
        _, labels = cv2.connectedComponents(erode(like_hair, 1.5 * unit).astype(np.uint8))
        hanging = np.setdiff1d(np.unique(labels[height > 0.6]), 0)  # shirts of people who lean forward rise beside the jaw too
        hanging_map = np.isin(labels, hanging)
        jaw, above = hanging_map & (height < 0.22), hanging_map & (height > 0.2) & (height < 0.5)
        if jaw.sum() > 150 * unit**2 and above.any():
            reach = float(np.percentile((across * sign)[above], 95)) + 0.08
            near = np.exp(-0.5 * (np.clip(across * sign - reach, 0, None) / 0.12) ** 2)
            prior = np.where(across * sign > 0, np.maximum(prior, near), prior)
    return prior.astype(np.float32)


def _keep_connected(hair: Float32Array, crown: BoolArray, unit: float) -> Float32Array:
    """Drop hair-coloured islands that do not reach the upper half of the head: shadows, dark collars."""
    solid = cv2.morphologyEx((hair > 0.4).astype(np.uint8), cv2.MORPH_OPEN, disk(2 * unit))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid)
    largest = max(int(stats[1:, cv2.CC_STAT_AREA].max(initial=0)), int(300 * unit**2))
    kept = np.zeros(count, np.bool_)
    for k in range(1, count):
        kept[k] = stats[k, cv2.CC_STAT_AREA] > 0.12 * largest and bool((crown & (labels == k)).any())
    return hair * blur(dilate(kept[labels], 4 * unit), 1.0)


@dataclass(frozen=True)
class _Mixture:
    log_weights: FloatArray  # (K,)
    means: FloatArray  # (K, 3)
    precisions: FloatArray  # (K, 3, 3)
    log_determinants: FloatArray  # (K,) of the covariances


def _mixture(colours: Float32Array, components: int) -> _Mixture | None:
    """Gaussians around k-means clusters of colours (N, 3) in Lab; None if there are too few to learn from."""
    if len(colours) < 60:
        return None
    if len(colours) > 4000:
        colours = colours[np.random.default_rng(0).choice(len(colours), 4000, replace=False)]
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    _, labels, _ = cv2.kmeans(colours.astype(np.float32), components, np.empty(0, np.int32), stop, 2, cv2.KMEANS_PP_CENTERS)
    groups = [colours[labels[:, 0] == k] for k in range(components)]
    groups = [g for g in groups if len(g) >= 20]
    covariances = [np.cov(g.T) + np.diag([14.0, 5.0, 5.0]) for g in groups]
    return _Mixture(np.log([len(g) / len(colours) for g in groups]), np.stack([g.mean(0) for g in groups]),
                    np.linalg.inv(covariances), np.linalg.slogdet(covariances)[1])


def _log_likelihood(mixture: _Mixture | None, lab: Float32Array) -> FloatArray:
    if mixture is None:
        return np.full(lab.shape[:2], -25.0)
    parts = []
    for weight, mean, precision, determinant in zip(mixture.log_weights, mixture.means, mixture.precisions, mixture.log_determinants,
                                                    strict=True):
        offset = lab - mean
        parts.append(weight - 0.5 * (np.einsum("...i,ij,...j", offset, precision, offset) + determinant))
    return np.logaddexp.reduce(parts, 0) + 6.0  # about the log volume of one component, so that the floor of -25 means "unlike"
