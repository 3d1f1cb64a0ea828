"""Completion of the top of a head that lies outside the photo, so that the avatar is not cut off flat.

A superellipse extends the head's outline from the photo's edge to an average crown. Hair continues in the colors seen below the
cut, in strands that rise from the hairline; a forehead that is cut is first extended to an average hairline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from offline.images import blur, dilate, distance_to, fill_from, pixel_centers
from offline.numeric import ramp
from offline.portrait import Portrait
from offline.priors import ENOUGH
from offline.segment.landmark_masks import face_oval
from offline.segment.matte import person_probability
from perse_live.arrays import BoolArray, Float32Array, Float64Array, UInt8Array
from perse_live.head.landmarks import BROW_PEAKS, CHIN, FACE_SIDES, FOREHEAD_TOP

# Face heights above the forehead's top landmark: of five portraits with hair, and of skulls
_CROWN, _BALD_CROWN = (0.47, 0.33)
_HAIRLINE = 0.05  # likewise: where hair begins on most foreheads
# Face heights above the cut: the crown at least, and the hairline over bare skin
_LEAST_RISE, _LEAST_FOREHEAD = (0.15, 0.1)
_ROUNDNESS = 2.4  # exponent of the outline: 2 is an ellipse, heads with hair are a little squarer
_TEMPLES = 0.2  # face heights below the forehead's top landmark: where a head is widest
_CONTACT = 0.4  # of the face's width along which the person must touch the photo's edge; less is a head that just fits
# Probability of being the person's: in the middle, and at the sides, where it is less sure
_TOUCHES, _TOUCHES_BESIDE = (0.5, 0.25)
_BACKGROUND = 0.1  # probability of being the person's below which a pixel is background
_SOURCE = 24.0  # pixels (eye distance 115) below the cut whose colours go on above it: farther down are the brows
# Of a row's pixels that lie inside the photo, from which on it counts as its first
_INSIDE_ROW = 0.5
# Rows below the cut that are looked at; the first is mixed with what is outside
_BELOW_CUT = (1, 7)
_UNLIKE_SKIN = 14.0  # CIELAB distance from the forehead's color, in whatever light, from which on a pixel is hair
# Of the forehead's color that skin has in shadow and light; brown hair is like darker shades
_SHADES = (0.6, 0.75, 1.0, 1.25)
_MUCH = 1800.0  # pixels (eye distance 115) of hair: more than strips next to a face
_STRANDS = 110.0  # along half a turn
_SOFT = 2.5  # pixels (eye distance 115): deviation of the hairline's and the outline's softness
_ROOM = 24.0  # pixels (eye distance 115) around the completed head that count as photo too
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
    top = int(np.argmax(portrait.valid.mean(1) > _INSIDE_ROW))
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
            for below in range(*_BELOW_CUT)
        ]
    )
    likely = edge.mean(0) * ((rows > 0) & (rows < points[list(BROW_PEAKS), 1].mean()))
    start = round(np.clip(middle, 0, len(columns) - 1))
    if likely[start] < _TOUCHES:
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
        skin = np.median(image[face_oval(points, person.shape) & portrait.valid], 0)
        line = _hairline(
            hair_pixels,
            cut,
            min(forehead_row - _HAIRLINE * face_height, cut.row - _LEAST_FOREHEAD * face_height),
        )
        strands, noise = _strands(image, hair_pixels, x, y, (middle, widest), unit, skin)
        share = ramp(line[None] + 2 * unit * noise - y, -_SOFT * unit, 2 * _SOFT * unit)[..., None]
        covered = covered * (1 - share) + strands * share
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
    """(W,) the row above which hair grows: the cut where hair is seen at it, an arch over the forehead where skin is."""
    columns = np.arange(hair.shape[1])
    rows = np.clip(
        cut.rows.astype(int)[None] + np.arange(*_BELOW_CUT)[:, None] + 1, 0, len(hair) - 1
    )
    seen = hair[rows, columns[None]].mean(0) > 0.5
    line = cut.rows.copy()
    bare = np.nonzero(~seen & (columns > cut.left) & (columns < cut.right))[0]
    if len(bare):
        left, right = float(bare[0]), float(bare[-1])
        along = np.clip((columns - (left + right) / 2) / max((right - left) / 2, 1.0), -1, 1)
        arch = (cut.row - usual) * (1 - along**2)
        line -= np.where((columns >= left) & (columns <= right), arch, 0.0)
    return line


def _strands(
    image: Float32Array,
    hair: BoolArray,
    x: Float64Array,
    y: Float64Array,
    root: tuple[float, float],
    unit: float,
    skin: Float32Array,
) -> tuple[Float32Array, Float32Array]:
    """Hair in the colors of what is seen, as strands that rise from a place below the forehead, and how they vary.

    root: column and row of that place; skin: (3,) its color, 0 to 255. Returns (H, W, 3), and (H, W) of mean 0 and about unit
    deviation.
    """
    colors = image[hair]
    apart = np.linalg.norm(colors - skin, axis=1)
    # half of the pixels of thin strips are mixed with skin
    base = np.median(
        colors if len(colors) > _MUCH * unit**2 else colors[apart >= np.median(apart)], 0
    )
    contrast = float(np.clip(0.5 * np.ptp(np.percentile(colors.mean(1), [16, 84])), 4, 30))
    angle = np.arctan2(x - root[0], root[1] - y) / np.pi  # 0 straight up
    radius = np.hypot(x - root[0], y - root[1]) / (60 * unit)
    # Along a strand, and from strand to strand
    wave = np.random.default_rng(0).normal(size=(64, 512)).astype(np.float32)
    noise = np.zeros(hair.shape, np.float32)
    for octave, weight in ((1.0, 0.6), (0.35, 0.8)):
        where = np.stack(
            [(angle * _STRANDS * octave) % 512, (radius * 3 + 7 * octave) % 64], -1
        ).astype(np.float32)
        noise += weight * cv2.remap(
            wave, where[..., 0], where[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
    return np.clip(base + contrast * noise[..., None], 0, 255).astype(np.float32), noise


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
    return np.asarray(blur(mirrored, 1.5 * unit), np.float32)
