"""Completion of the top of a head that lies outside the photo, so that the avatar is not cut off flat.

A superellipse extends the head's outline from the photo's edge to an average crown. Hair continues in the colors seen below the
cut, with their mirrored detail; a forehead that is cut is first extended to an average hairline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from offline.images import blur, dilate, distance_to, fill_from, pixel_centers
from offline.numeric import ramp
from offline.portrait import Portrait
from offline.priors import BESIDE_EDGE, ENOUGH
from offline.segment.landmark_masks import face_oval
from offline.segment.matte import person_probability
from perse_live.arrays import BoolArray, Float32Array, Float64Array, UInt8Array
from perse_live.head.landmarks import BROW_PEAKS, CHIN, FACE_SIDES, FOREHEAD_TOP

# Face heights above the forehead's top landmark: of five portraits with hair, and of skulls
_CROWN, _BALD_CROWN = (0.47, 0.33)
_HAIRLINE = 0.05  # likewise: where hair begins on most foreheads
# Face heights above the cut: the crown, and the hairline over bare skin, at least
_LEAST_RISE, _LEAST_FOREHEAD = (0.15, 0.1)
_ROUNDNESS = 2.4  # exponent of the outline: 2 is an ellipse, heads with hair are a little squarer
_TEMPLES = 0.2  # face heights below the forehead's top landmark: where a head is widest
_CONTACT = 0.4  # of the face's width along which the person must touch the photo's edge; less is a head that just fits
# Probability of being the person's beside the middle of the cut; in the middle it is 1/2
_TOUCHES_BESIDE = 0.25
_BACKGROUND = 0.1  # probability of being the person's below which a pixel is background
_SOURCE = 24.0  # pixels (eye distance 115) below the cut whose colours go on above it: farther down are the brows
_ROOM = 24.0  # pixels (eye distance 115) around the completed head that count as photo too
_UNLIKE_SKIN = 14.0  # CIELAB distance from the forehead's color, in whatever light, from which on a pixel is hair
# Of the forehead's color that skin has in shadow and light; brown hair is like darker shades
_SHADES = (0.6, 0.75, 1.0, 1.25)
_SOFT = 2.5  # pixels (eye distance 115): deviation of the hairline's and the outline's softness
_WARNING = "the top of the head is outside the photo, so it is guessed: use a photo with room above the head"


@dataclass(frozen=True)
class _Cut:
    """Where the photo's upper edge cuts a head, in pixels of the portrait."""

    rows: Float64Array
    """(W,) first row of each column that is inside the photo."""
    left: float
    """Columns between which the person touches the edge."""
    right: float
    row: float
    """Of the cut in the middle."""


def with_head_top(portrait: Portrait) -> Portrait:
    """The portrait with the top of the head completed, and a warning; unchanged where the photo shows the top."""
    person = _person(portrait)
    cut = _cut(portrait, person)
    if cut is None:
        return portrait
    rgb, head = _completed(portrait, person, cut)
    valid = portrait.valid | dilate(head, _ROOM * portrait.unit)
    made_up = portrait.made_up | (valid & ~portrait.valid)
    warnings = (*portrait.warnings, _WARNING)
    return replace(portrait, rgb=rgb, valid=valid, made_up=made_up, warnings=warnings)


def _person(portrait: Portrait) -> Float32Array:
    """(H, W) the probability of being the person's; 0 outside the photo.

    The model looks a second time without what is above the photo's edge: repeated pixels look like a background to it, which
    makes the hair below them look like one too.
    """
    top = int(np.argmax(portrait.valid.mean(1) > 0.5))
    person = person_probability(portrait.rgb)
    if top:
        person[top:] = np.maximum(
            person[top:], person_probability(np.ascontiguousarray(portrait.rgb[top:]))
        )
    return person * portrait.valid


def _cut(portrait: Portrait, person: Float32Array) -> _Cut | None:
    """Where the photo ends within the head; None where it does not."""
    points = portrait.detection.landmarks[:, :2]
    middle, face_width = float(points[FOREHEAD_TOP, 0]), float(np.ptp(points[list(FACE_SIDES), 0]))
    rows = np.argmax(portrait.valid, 0).astype(np.float64)
    columns = np.arange(person.shape[1])
    edge = np.stack(
        [
            person[np.minimum(rows.astype(int) + below, len(person) - 1), columns]
            for below in range(*BESIDE_EDGE)
        ]
    )
    likely = edge.mean(0) * ((rows > 0) & (rows < points[list(BROW_PEAKS), 1].mean()))
    start = round(np.clip(middle, 0, len(columns) - 1))
    if likely[start] < 0.5:
        return None
    touching = likely > _TOUCHES_BESIDE
    left, right = start, start
    while left > 0 and touching[left - 1]:
        left -= 1
    while right < len(columns) - 1 and touching[right + 1]:
        right += 1
    if right - left < _CONTACT * face_width:
        return None
    return _Cut(rows, float(left), float(right), float(rows[start]))


def _completed(portrait: Portrait, person: Float32Array, cut: _Cut) -> tuple[UInt8Array, BoolArray]:
    """The portrait with a head drawn above the cut, and where it was drawn, (H, W)."""
    unit, points = portrait.unit, portrait.detection.landmarks[:, :2]
    face_height, forehead_row = (
        float(points[CHIN, 1] - points[FOREHEAD_TOP, 1]),
        float(points[FOREHEAD_TOP, 1]),
    )
    image = portrait.rgb.astype(np.float32)
    x, y = np.moveaxis(pixel_centers(person.shape), -1, 0)
    above = y < cut.rows[None]
    # the outline: an ellipse through both ends of the cut
    middle = (cut.left + cut.right) / 2
    hair_pixels = _hair_below(portrait, person, cut)
    bald = hair_pixels.sum() < ENOUGH  # or nothing of the hair is to be seen
    crown = min(
        forehead_row - (_BALD_CROWN if bald else _CROWN) * face_height,
        cut.row - _LEAST_RISE * face_height,
    )
    widest = max(forehead_row + _TEMPLES * face_height, cut.row)
    rise = widest - crown
    half = (
        (cut.right - cut.left)
        / 2
        / max(1 - ((widest - cut.row) / rise) ** _ROUNDNESS, 0.2) ** (1 / _ROUNDNESS)
    )
    half += _SOFT * unit  # the outline fades inwards
    reach = (
        np.abs((x - middle) / half) ** _ROUNDNESS + np.abs((y - widest) / rise) ** _ROUNDNESS
    ) ** (1 / _ROUNDNESS)
    head = np.asarray(above & (reach < 1))
    near = portrait.valid & (y < cut.rows[None] + _SOURCE * unit)
    background = near & (person < _BACKGROUND)
    behind = fill_from(image, background if background.any() else near)
    covered = _mirrored(image, cut, unit)
    if not bald:
        line = _hairline(
            hair_pixels,
            cut,
            min(forehead_row - _HAIRLINE * face_height, cut.row - _LEAST_FOREHEAD * face_height),
        )
        share = blur(y < line[None], _SOFT * unit)[..., None]
        detail = covered - blur(covered, 4 * unit)
        covered = covered * (1 - share) + (np.median(image[hair_pixels], 0) + detail) * share
    solid = ramp((1 - reach) * half, 0.0, 2 * _SOFT * unit)[..., None]
    drawn = covered * solid + behind * (1 - solid)
    out = np.where(above[..., None], drawn, image)
    return np.clip(out + 0.5, 0, 255).astype(np.uint8), head


def _hair_below(portrait: Portrait, person: Float32Array, cut: _Cut) -> BoolArray:
    """(H, W) seeds of hair: pixels of the person above the brows or next to the face, unlike the forehead in color."""
    points, unit = portrait.detection.landmarks[:, :2], portrait.unit
    lab = np.asarray(
        cv2.cvtColor((portrait.rgb / np.float32(255)).astype(np.float32), cv2.COLOR_RGB2LAB),
        np.float32,
    )
    oval = face_oval(points, person.shape)
    rows = np.arange(len(person))[:, None] + 0.5
    brows = points[list(BROW_PEAKS), 1].mean()
    forehead = oval & (rows < brows - 8 * unit) & portrait.valid
    if forehead.sum() < ENOUGH:
        forehead = oval & portrait.valid
    skin = np.median(portrait.rgb[forehead], 0) / np.float32(255)
    shades = np.clip([[skin * shade for shade in _SHADES]], 0, 1).astype(np.float32)
    unlike = np.min(
        [
            np.linalg.norm(lab - shade, axis=-1)
            for shade in np.asarray(cv2.cvtColor(shades, cv2.COLOR_RGB2LAB))[0]
        ],
        0,
    )
    high = rows < brows + 30 * unit
    inside = distance_to(person < 0.5) > 2 * unit
    return np.asarray(
        portrait.valid
        & inside
        & high
        & ~oval
        & (unlike > _UNLIKE_SKIN)
        & (rows > cut.rows[None] + 1)
    )


def _hairline(hair: BoolArray, cut: _Cut, usual: float) -> Float64Array:
    """(W,) the row above which hair is drawn: an arch over the forehead where skin is seen at the cut; elsewhere 0."""
    columns = np.arange(hair.shape[1])
    rows = np.clip(
        cut.rows.astype(int)[None] + np.arange(*BESIDE_EDGE)[:, None] + 1, 0, len(hair) - 1
    )
    seen = hair[rows, columns[None]].mean(0) > 0.5
    bare = np.nonzero(~seen & (columns > cut.left) & (columns < cut.right))[0]
    if not len(bare):
        return np.zeros(len(columns))
    left, right = float(bare[0]), float(bare[-1])
    along = np.clip((columns - (left + right) / 2) / max((right - left) / 2, 1.0), -1, 1)
    arch = cut.rows - (cut.row - usual) * (1 - along**2)
    return np.where((columns >= left) & (columns <= right), arch, 0.0)


def _mirrored(image: Float32Array, cut: _Cut, unit: float) -> Float32Array:
    """(H, W, 3) pixels just below the cut, mirrored upwards: continued skin of the forehead."""
    height, width = image.shape[:2]
    rows = np.arange(height)[:, None]
    first = cut.rows[None] + 2
    depth = np.abs(first - rows) % (_SOURCE * unit)  # back and forth: farther down are the brows
    depth = np.minimum(depth, _SOURCE * unit - depth)
    source = np.where(rows < first, first + depth, rows).astype(np.float32)
    columns = np.broadcast_to(np.arange(width, dtype=np.float32), (height, width))
    mirrored = cv2.remap(
        image,
        columns,
        np.asarray(source, np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(mirrored, np.float32)
