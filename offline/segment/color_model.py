"""Segmentation of the portrait into skin, hair and clothes by colour and geometry, where no network is available.

Colour models are learned where the fitted head determines skin, hair or clothes; elsewhere their likelihoods are combined with a
prior from the geometry (naive Bayes), and the result is smoothed along the picture's edges (guided filter, He et al. 2010).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from offline.images import blur, dilate, disk, distance_to, erode, without_small
from offline.numeric import ramp
from offline.priors import ENOUGH, PART, PIECE
from offline.rig.template_regions import FACE_MIDDLE, FOREHEAD
from offline.segment.color_mixture import color_mixture, log_likelihood
from offline.segment.contract import OPAQUE, VISIBLE, PartMaps, Segmenter, with_background
from offline.segment.hair_over_body import with_hair_over_body
from offline.segment.landmark_masks import face_oval
from perse_live.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from perse_live.head.landmarks import BROW_PEAKS, CHIN, EYE_CORNERS, FOREHEAD_TOP

_TOP = 1.02  # face heights above the chin: above the forehead
# Usual spreads of the face's colour from which a top of the head is hair, and a chin bearded. Medians of 22 portraits: two bald
# ones .35 and .62, hair 1.1 (fair) to 3.9; chins: bearded .97 to 1.6, others under .75
_UNLIKE_FACE = 0.85
# Squared face heights that a head's outline encloses above its forehead from which it has hair, however like skin in colour: half
# as much again as the mean head without hair, .21. Five bald heads: .04 to .17; three grey photos of fair hair: .39 to .54
_LARGEST_SKULL = 0.32
# Face heights above the chin between which a beard is expected: under the lip, down to the throat; likewise to a side
_BEARD, _BEARD_HALF_WIDTH = (-0.25, 0.17), 0.35
_UNDER_EARS, _OVER_EARS = 0.1, 0.75  # face heights above the chin between which ears may be
# Of Lab's a, more than face and hair: from which skin is flushed, and surely is
_REDDER = (4.0, 10.0)
_EAR_S_BLOOD = 0.95  # weight of this evidence against hair
_NO_HAIR = -2.5  # log likelihood under hair's colours below which a pixel is not hair
_WELL_TOLD = 3.0  # log odds of hair against skin from which a pixel is unambiguous
_LOCKS_END = -0.05  # face heights above the chin: how far locks below an ear reach


@dataclass(frozen=True)
class _Face:
    """Where pixels lie relative to the face, (H, W) each."""

    unit: float  # pixels: eye distance / 115
    pixels: float  # of the face's height
    height: FloatArray  # along the face's axis, in face heights: 0 at the chin, 1 at the top of the forehead
    across: FloatArray  # likewise, to the picture's right
    oval: BoolArray
    brow_height: float  # as `height`


def segmenter(
    alpha: Float32Array,  # (H, W) the person's matte
    landmarks: FloatArray,  # (478, 3) pixels
    rest: Float32Array,  # (H, W, 3) as of `classify_parts`, as are the next two
    body: BoolArray,  # (H, W)
    before_face: BoolArray,  # (H, W)
) -> Segmenter:
    """A segmenter of the one portrait that the matte, the landmarks and the fitted head belong to."""

    def segment(image: UInt8Array) -> Float32Array:
        colors = (image / np.float32(255)).astype(np.float32)
        return with_background(
            classify_parts(colors, alpha, landmarks, rest, body, before_face), alpha
        )

    return segment


def classify_parts(
    image: Float32Array,  # (H, W, 3) sRGB in [0, 1]
    alpha: Float32Array,  # (H, W) the person's matte
    landmarks: FloatArray,  # (478, 3) pixels
    rest: Float32Array,  # (H, W, 3) rest position (head frame, metres) of the rig's point seen by the pixel, NaN where none is
    body: BoolArray,  # (H, W) where the rig shows neck, shoulders or chest
    before_face: BoolArray,  # (H, W) beyond the outline of nose, cheeks and chin, where little hair hangs
) -> PartMaps:
    """Classify pixels as skin, hair and clothes. The module's docstring has the method."""
    face = _face(landmarks, alpha.shape)
    lab = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), np.float32)
    core = _core(face, rest)
    unlike_skin = _unlike(lab, core)
    skin_seeds, hair_seeds, cloth_seeds = _seeds(face, alpha, core, unlike_skin)
    flushed = _flushed(face, lab, core, hair_seeds)
    skin, hair = (
        log_likelihood(color_mixture(lab[seed], 3), lab)
        for seed in (skin_seeds, hair_seeds & (flushed < 0.5))
    )
    skin = _with_beard(skin, face, lab, alpha, unlike_skin)
    if cloth_seeds.sum() < ENOUGH:
        cloth_seeds |= _corner_of_collar(face, alpha, hair, unlike_skin)
    clothes = log_likelihood(color_mixture(lab[cloth_seeds], 4), lab)
    beside = (alpha > OPAQUE) & ~dilate(face.oval, 3 * face.unit)
    priors = (
        np.maximum(_skin_prior(face, rest, body, before_face, unlike_skin), 0.9 * flushed),
        _hair_prior(face, rest, body, before_face, beside, hair, skin)
        * (1 - _EAR_S_BLOOD * flushed),
        _cloth_prior(face, body, unlike_skin),
    )
    scores = np.stack(
        [
            np.clip(likelihood, -25, 0) + np.log(prior)
            for likelihood, prior in zip((skin, hair, clothes), priors, strict=True)
        ],
        -1,
    )
    forehead = dilate(face.oval, 4 * face.unit) & (face.height > face.brow_height)
    scores = told_by_edges(scores, image, forehead, alpha > OPAQUE, face.unit)
    parts = _tidied(_smoothed(scores, image, alpha, face.unit), face, alpha)
    return with_hair_over_body(parts, image, alpha, face.height, face.across, face.oval, face.unit)


def tidied(parts: PartMaps, landmarks: FloatArray, alpha: Float32Array) -> PartMaps:
    """Parts of any segmenter, corrected by the face's position: its middle is skin, and hair is connected.

    landmarks: (478, 3) pixels; alpha: (H, W) the person's matte.
    """
    return _tidied(
        np.stack([parts.skin, parts.hair, parts.clothes], -1), _face(landmarks, alpha.shape), alpha
    )


def worn_on_head(landmarks: FloatArray, shape: tuple[int, ...]) -> Float32Array:
    """(H, W) in [0, 1]: above the chin, where what is neither skin nor hair nor clothes is a hat or a scarf around the head."""
    return np.clip(8 * _face(landmarks, shape).height, 0, 1).astype(np.float32)


def _face(landmarks: FloatArray, shape: tuple[int, ...]) -> _Face:
    rows = np.arange(shape[0], dtype=np.float32)[:, None] + 0.5
    columns = np.arange(shape[1], dtype=np.float32)[None] + 0.5
    chin = landmarks[CHIN, :2]
    up = landmarks[FOREHEAD_TOP, :2] - chin
    face_height = float(np.linalg.norm(up))
    up = up / face_height
    height = ((columns - chin[0]) * up[0] + (rows - chin[1]) * up[1]) / face_height
    across = ((rows - chin[1]) * up[0] - (columns - chin[0]) * up[1]) / face_height
    brows = np.clip(landmarks[list(BROW_PEAKS), :2].astype(int), 0, np.array(shape[1::-1]) - 1)
    eye_distance = float(np.linalg.norm(np.subtract(*landmarks[list(EYE_CORNERS), :2])))
    return _Face(
        eye_distance / 115,
        face_height,
        height,
        across,
        face_oval(landmarks, (shape[0], shape[1])),
        float(height[brows[:, 1], brows[:, 0]].mean()),
    )


def _core(face: _Face, rest: Float32Array) -> BoolArray:
    """The middle of the face, (H, W), where almost everything is skin."""
    core = face.oval & FACE_MIDDLE.contains(rest)
    return (
        core
        if core.sum() >= ENOUGH
        else erode(face.oval, 10 * face.unit) & (face.height < face.brow_height)
    )


def _unlike(lab: Float32Array, core: BoolArray) -> FloatArray:
    """Scaled Lab distance (H, W) of colours from those of the face's middle; 1 is their usual spread."""
    offset = lab - np.median(lab[core], 0)
    lightness = offset[..., 0]
    # Highlights are skin, shadows may be hair
    offset[..., 0] = np.where(lightness > 0, lightness * 0.55, lightness)
    return np.sqrt(((offset / np.array([30.0, 10.0, 12.0], np.float32)) ** 2).sum(-1))


def _seeds(
    face: _Face, alpha: Float32Array, core: BoolArray, unlike_skin: FloatArray
) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Seed pixels (H, W) of skin, hair and clothes, from which colours are learned."""
    oval, height, unit = face.oval, face.height, face.unit
    inside, outside, side = alpha > OPAQUE, ~dilate(oval, 3 * unit), np.abs(face.across)
    skin = core & (unlike_skin < 1.6)
    skin |= erode(oval, 6 * unit) & (height > face.brow_height) & (unlike_skin < 2.0)
    hair = inside & outside & (height > 0.25) & (unlike_skin > 2.0)
    if _bald(face, inside & outside, unlike_skin):  # the shaded side of a bare head is no hair
        hair = without_small(hair, PART * unit**2)
    else:  # the head's outer edge is hair even where it is as bright as skin
        hair |= inside & outside & (height > 0.72) & (distance_to(alpha < 0.5) < 16 * unit)
    clothes = inside & (height < -0.12) & (unlike_skin > 2.0) & ((side > 0.32) | (height < -0.35))
    clothes |= inside & (height < -0.5) & (side > 0.5)
    return skin, hair, clothes


def _bald(face: _Face, beside: BoolArray, unlike_skin: FloatArray) -> bool:
    """Whether the top of the head has the colours of the face and is no larger than a skull.

    beside: (H, W) the person next to the face.
    """
    top = beside & (face.height > _TOP)
    if top.sum() > _LARGEST_SKULL * face.pixels**2:
        return False
    return top.sum() < ENOUGH or float(np.median(unlike_skin[top])) < _UNLIKE_FACE


def _with_beard(
    skin: FloatArray, face: _Face, lab: Float32Array, alpha: Float32Array, unlike_skin: FloatArray
) -> FloatArray:
    """Log likelihood (H, W) of skin's colours, with those of a beard on the chin for what hangs below it.

    A beard is part of the skin here; without this, a dark one below the chin becomes clothes.
    """
    chin = face.oval & (face.height > 0) & (face.height < _BEARD[1]) & (alpha > OPAQUE)
    beard = chin & (unlike_skin > _UNLIKE_FACE)
    if beard.sum() < max(0.5 * chin.sum(), ENOUGH):
        return skin
    hanging = (
        (face.height > _BEARD[0])
        & (face.height < _BEARD[1])
        & (np.abs(face.across) < _BEARD_HALF_WIDTH)
    )
    return np.where(
        hanging, np.maximum(skin, log_likelihood(color_mixture(lab[beard], 3), lab)), skin
    )


def _flushed(face: _Face, lab: Float32Array, core: BoolArray, hair: BoolArray) -> FloatArray:
    """Confidence (H, W) in [0, 1] that pixels are translucent ears: redder than the face and than the hair above.

    core: (H, W) the middle of the face; hair: (H, W) unlike skin, and so candidates for hair.
    """
    above = hair & (face.height > _OVER_EARS)
    if above.sum() < ENOUGH:
        return np.zeros(hair.shape)
    red = lab[..., 1]
    most = max(float(np.median(red[core])), float(np.percentile(red[above], 90)))
    beside = (face.height > _UNDER_EARS) & (face.height < _OVER_EARS) & ~face.oval
    return beside * ramp(red, most + _REDDER[0], most + _REDDER[1])


def _corner_of_collar(
    face: _Face, alpha: Float32Array, hair: FloatArray, unlike_skin: FloatArray
) -> BoolArray:
    """(H, W) pixels next to the neck that are neither skin nor hair: the clothes in a photo that ends below the chin.

    hair: (H, W) log likelihood of its colours.
    """
    beside = (face.height < -0.06) & (np.abs(face.across) > 0.24)
    return (alpha > OPAQUE) & beside & (unlike_skin > 1.6) & (hair < _NO_HAIR)


def _neck(face: _Face, body: BoolArray) -> BoolArray:
    return body & (np.abs(face.across) < 0.32) & (face.height > -0.45)


def _skin_prior(
    face: _Face,
    rest: Float32Array,
    body: BoolArray,
    before_face: BoolArray,
    unlike_skin: FloatArray,
) -> FloatArray:
    """Prior (H, W) of skin: high on the fitted head below the brows, lower on the forehead."""
    height, unit = face.height, face.unit
    on_head = np.isfinite(rest[..., 0]) & ~body
    low = (on_head | _neck(face, body)) & (height < face.brow_height)
    prior = 0.06 + 0.9 * blur((face.oval & (height < face.brow_height + 0.08)) | low, 5 * unit)
    forehead = on_head & FOREHEAD.contains(rest) & (height > face.brow_height)
    prior = np.maximum(prior, 0.45 * blur(forehead, 5 * unit))
    # next to the fitted head and above the chin there is hair
    beside = ~on_head & ~body & (distance_to(on_head) > 4 * unit) & (height > 0.0) & ~before_face
    return np.where(beside, np.where(unlike_skin < 1.0, 0.3, 0.03), prior)


def _hair_prior(
    face: _Face,
    rest: Float32Array,
    body: BoolArray,
    before_face: BoolArray,
    beside: BoolArray,
    hair: FloatArray,
    skin: FloatArray,
) -> FloatArray:
    """Prior (H, W) of hair.

    beside: (H, W) the person next to the face; hair, skin: (H, W) log likelihoods of their colours.
    """
    height, unit = face.height, face.unit
    # Hair may cover the forehead, not the face below the brows
    fringe = np.clip((height - face.brow_height) * 8, 0, 1)
    side_lock = np.clip(1 - distance_to(~face.oval) / (14 * unit), 0, 1)
    in_oval = np.maximum(fringe, 0.5 * side_lock**2)
    prior = np.clip(0.95 - 1.3 * np.clip(0.05 - height, 0, 0.7), 0.12, 1) * np.where(
        face.oval, np.clip(in_oval, 0.004, 1), 1
    )
    off_head = ~np.isfinite(rest[..., 0])
    prior = np.where(off_head & ~body & before_face & (height > -0.1), 0.35 * prior, prior)
    below = np.clip(-height * 12, 0, 1)
    long = _length_prior(hair, skin, beside, height, face.across, unit)
    return np.where(below > 0, prior * (1 - below + below * long), prior)


def _cloth_prior(face: _Face, body: BoolArray, unlike_skin: FloatArray) -> FloatArray:
    """Prior (H, W) of clothes: high below the chin, lower on a neck that looks like skin."""
    prior = np.clip(-face.height * 6, 0.002, 1) * np.where(face.oval, 0.01, 1)
    return np.where(_neck(face, body) & (unlike_skin < 1.5), prior * 0.2, prior)


def told_by_edges(
    scores: FloatArray, image: Float32Array, among: BoolArray, person: BoolArray, unit: float
) -> FloatArray:
    """Log scores (H, W, 3) of skin, hair and clothes, with hair and skin separated by edges where colours are ambiguous.

    That is the case for fair hair over a forehead in warm light. A watershed (Meyer, Color image segmentation, 1992) floods such
    pixels `among` (H, W) from unambiguous ones; pixels filled from the hair's side are hair. image: (H, W, 3); person: (H, W);
    unit: pixels, eye distance / 115.
    """
    more = scores[..., 1] - scores[..., 0]
    skin, hair = (
        without_small(side & person, PIECE * unit**2)
        for side in (more < -_WELL_TOLD, more > _WELL_TOLD)
    )
    poorly = among & person & ~(skin | hair)
    if not (poorly.any() and skin.any() and hair.any()):
        return scores
    markers = np.where(skin, 1, np.where(hair, 2, np.where(poorly, 0, 3))).astype(np.int32)
    smooth = cv2.bilateralFilter(
        np.clip(np.rint(image * 255), 0, 255).astype(np.uint8), 0, 12, 2 * unit
    )
    flooded = np.asarray(cv2.watershed(smooth, markers), np.int32)
    decided = scores.copy()
    for label, odds in ((1, -_WELL_TOLD), (2, _WELL_TOLD)):
        own = poorly & (flooded == label)
        decided[own, 1] = scores[own, 0] + odds
    return decided


def _smoothed(
    scores: FloatArray, image: Float32Array, alpha: Float32Array, unit: float
) -> FloatArray:
    """Probabilities (H, W, 3) of log scores, smoothed along the edges of the picture.

    For clothes, pixels count by their `alpha` (H, W): a background with their colours would turn the edge of a face into clothes,
    which stand beside it as a strip when it turns.
    """
    probability = np.exp(scores - scores.max(-1, keepdims=True))
    probability /= probability.sum(-1, keepdims=True)
    guide = cv2.ximgproc.createGuidedFilter(image, max(2, round(4 * unit)), 1e-3)
    weight = alpha + np.float32(1e-3)

    def filtered(values: FloatArray) -> Float32Array:
        return np.asarray(guide.filter(np.ascontiguousarray(values, np.float32)), np.float32)

    skin, hair, clothes = (np.clip(filtered(probability[..., k]), 0, 1) for k in range(3))
    worn = np.clip(
        filtered(probability[..., 2] * weight) / np.maximum(filtered(weight), 1e-4), 0, 1
    )
    clothes = np.minimum(clothes, worn)
    rest = (1 - clothes) / np.maximum(skin + hair, 1e-3)
    return np.stack([np.maximum(skin, 1e-3) * rest, hair * rest, clothes], -1)


def _tidied(smooth: FloatArray, face: _Face, alpha: Float32Array) -> PartMaps:
    """Corrections beyond colour: the face's middle is skin, hair is connected."""
    # Eyes and mouths are as dark as hair
    inner = erode(face.oval, 9 * face.unit) & (face.height < face.brow_height + 0.03)
    smooth[inner] = np.array([1.0, 0.0, 0.0], np.float32)
    crown = (face.height > 0.5) & ~erode(face.oval, 4 * face.unit)
    low = ((smooth[..., 2] > 0.3) | (face.height < _LOCKS_END)) & (alpha > 0.5)
    smooth[..., 1] = _keep_connected(
        smooth[..., 1] * (alpha > VISIBLE), crown, face.oval, low, face.unit
    )
    smooth[..., 0] += 1e-4
    smooth /= smooth.sum(-1, keepdims=True)
    return PartMaps(*(np.ascontiguousarray(smooth[..., k], np.float32) for k in range(3)))


def _length_prior(
    hair: FloatArray,
    skin: FloatArray,
    beside: BoolArray,
    height: FloatArray,
    across: FloatArray,
    unit: float,
) -> Float32Array:
    """Plausibility (H, W) in [0, 1] of hair below the chin: near the neck, on a side with hair next to the jaw.

    Without this a dark shirt under dark hair becomes hair.
    """
    prior = np.full(height.shape, 0.01, np.float32)
    for sign in (-1.0, 1.0):
        like_hair = beside & (height > 0.02) & (across * sign > 0) & (hair > skin) & (hair > -20)
        _, labels = cv2.connectedComponents(erode(like_hair, 1.5 * unit).astype(np.uint8))
        # Shirts of people who lean forward reach the jaw too
        hanging = np.setdiff1d(np.unique(labels[height > 0.6]), 0)
        hanging_map = np.isin(labels, hanging)
        jaw, above = hanging_map & (height < 0.22), hanging_map & (height > 0.2) & (height < 0.5)
        if jaw.sum() > 150 * unit**2 and above.any():
            reach = float(np.percentile((across * sign)[above], 95)) + 0.08
            near = np.exp(-0.5 * (np.clip(across * sign - reach, 0, None) / 0.12) ** 2)
            prior = np.where(across * sign > 0, np.maximum(prior, near), prior)
    return prior.astype(np.float32)


def _keep_connected(
    hair: FloatArray, crown: BoolArray, oval: BoolArray, low: BoolArray, unit: float
) -> FloatArray:
    """Drop hair-coloured components that do not reach the `crown` (H, W), the upper half of the head: shadows, dark collars.

    Locks separated from it by an ear stay: next to the face's `oval` (H, W), and not touching `low` (H, W), as collars do.
    """
    solid = cv2.morphologyEx((hair > 0.4).astype(np.uint8), cv2.MORPH_OPEN, disk(2 * unit))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid)
    largest = max(int(stats[1:, cv2.CC_STAT_AREA].max(initial=0)), int(PART * unit**2))
    kept, beside = np.zeros(count, np.bool_), dilate(low, 3 * unit)
    for k in range(1, count):
        island, area = labels == k, stats[k, cv2.CC_STAT_AREA]
        on_top = area > 0.12 * largest and bool((crown & island).any())
        lock = (
            area > PIECE * unit**2
            and (oval & island).sum() < 0.1 * area
            and (beside & island).sum() < 0.03 * area
        )
        kept[k] = on_top or lock
    return hair * blur(dilate(kept[np.asarray(labels, np.int32)], 4 * unit), 1.0)
