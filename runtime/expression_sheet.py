"""The sheet of expressions: every action at 0, a half and 1, with eyes and mouth at twice the size."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.camera import Camera
from perse_live.head import landmarks as lm
from perse_live.head.expressions import EXPRESSION_NAMES, expression
from runtime.stage import Stage, facing_pose
from runtime.tiles import (
    BACKDROP,
    CAPTION,
    GAP,
    HEADING,
    MARGIN,
    OVERSAMPLING,
    TITLE,
    Sheet,
    acting,
    close_up,
)

_FACE = 200  # pixels, side of a picture of the face
_CROP_WIDTH, _CROP_HEIGHT = 250, 98  # pixels, of eyes and of the mouth
_BETWEEN = 4  # pixels
_HEIGHTS = 1.35  # side of a picture of the face, in heights of the face from forehead to chin
_CELL = _FACE + _BETWEEN + _CROP_WIDTH
_COLUMNS = 6
_STRENGTHS = (0.0, 0.5, 1.0)
_CLOSING = (0.25, 0.5, 0.75, 1.0)
# how far the middle of a crop lies below the middle of the points it shows, in heights of the face
_BELOW_EYES, _BELOW_LIPS = -0.03, 0.04


def _both(**scores: float) -> dict[str, float]:
    return {f"{name}{side}": score for name, score in scores.items() for side in ("Left", "Right")}


def _shut(down: float) -> list[tuple[str, Float32Array]]:
    what = "shut, looking down" if down else "shut"
    return [
        (f"{what} {share:g}", expression(**_both(eyeBlink=share, eyeLookDown=down)))
        for share in _CLOSING
    ]


_TOGETHER: Sequence[tuple[str, Float32Array]] = (
    *_shut(0.0),
    ("wink", expression(eyeBlinkLeft=1, cheekSquintLeft=0.5)),
    ("wink", expression(eyeBlinkRight=1, cheekSquintRight=0.5)),
    *_shut(0.8),
    ("look down", expression(**_both(eyeLookDown=1, eyeBlink=0.25))),
    ("look up", expression(**_both(eyeLookUp=1))),
    ("smile 0.5", expression(**_both(mouthSmile=0.5, cheekSquint=0.25))),
    ("smile 1", expression(**_both(mouthSmile=1, cheekSquint=0.6, eyeSquint=0.3))),
    (
        "laugh",
        expression(
            jawOpen=0.4, **_both(mouthSmile=1, mouthUpperUp=0.35, cheekSquint=0.8, eyeSquint=0.6)
        ),
    ),
    ("show teeth", expression(jawOpen=0.1, **_both(mouthUpperUp=0.8, mouthLowerDown=0.8))),
    ("oo", expression(jawOpen=0.15, mouthFunnel=0.8, mouthPucker=0.3)),
    ("th", expression(jawOpen=0.18, tongueOut=0.4)),
    ("l", expression(jawOpen=0.25, tongueOut=0.2)),
    ("frown", expression(**_both(browDown=1, eyeSquint=0.3))),
    ("brows up", expression(browInnerUp=1, **_both(browOuterUp=1))),
    ("surprise", expression(jawOpen=0.6, browInnerUp=0.8, **_both(browOuterUp=0.9, eyeWide=0.7))),
    ("disgust", expression(**_both(noseSneer=1, mouthUpperUp=0.5, browDown=0.5))),
    ("sad", expression(browInnerUp=0.8, mouthShrugLower=0.4, **_both(mouthFrown=1))),
    ("squint", expression(**_both(eyeSquint=1, cheekSquint=0.6))),
)


def expression_sheet(avatar: Avatar) -> UInt8Array:
    """An avatar from the front with each of the 52 actions, and with some together; (H, W, 3) RGB, about 2850x7600 pixels."""
    together, rows = -(-len(_TOGETHER) // _COLUMNS), -(-len(EXPRESSION_NAMES) // 2)
    row = _FACE + CAPTION + GAP
    sheet = Sheet(_COLUMNS, _CELL, 2 * HEADING + (together + rows) * row)
    made = avatar.provenance
    sheet.title(
        "Expressions",
        f"{len(avatar):,} Gaussians   ·   {len(avatar.correctives)} correctives   ·   photo"
        f" {made.photo_sha256[:12]}   ·   {made.creator}",
    )
    draw = _cell_painter(avatar)
    top = MARGIN + TITLE
    sheet.heading("Together", top, facts="eyes and mouth at twice the size of the face")
    top += HEADING
    for number, (caption, doing) in enumerate(_TOGETHER):
        sheet.paste(
            draw(doing),
            caption,
            MARGIN + number % _COLUMNS * (_CELL + GAP),
            top + number // _COLUMNS * row,
        )
    top += together * row
    sheet.heading("Each action at 0, 0.5 and 1", top)
    top += HEADING
    rest = draw(expression())
    for number, name in enumerate(EXPRESSION_NAMES):
        for k, strength in enumerate(_STRENGTHS):
            left = MARGIN + (number % 2 * len(_STRENGTHS) + k) * (_CELL + GAP)
            cell = draw(_alone(name, strength)) if strength else rest
            sheet.paste(cell, f"{name} {strength:g}", left, top + number // 2 * row)
    return np.asarray(sheet.image)


def _alone(name: str, strength: float) -> Float32Array:
    """One action (52,); `mouthClose` with the open jaw that it closes the lips of."""
    return expression(**{name: strength} | ({"jawOpen": strength} if name == "mouthClose" else {}))


def _cell_painter(avatar: Avatar) -> Callable[[Float32Array], Image.Image]:
    """Draws an expression (52,): the face, and to its right the eyes above the mouth."""
    front = facing_pose(avatar)
    face = close_up(avatar, front, _HEIGHTS)
    points = face.project(neutral_landmarks(avatar) @ front.R_cam_head.T + front.t_cam_head)
    height = float((points.max(0) - points.min(0)).max())
    eyes, lips = (
        points[list(ids)].mean(0) + np.array([0, below * height])
        for ids, below in ((lm.LEFT_EYE + lm.RIGHT_EYE, _BELOW_EYES), (lm.LIPS, _BELOW_LIPS))
    )
    large = 2 * _FACE * OVERSAMPLING / face.width
    stage = Stage(
        avatar,
        face.resized(_FACE * OVERSAMPLING, _FACE * OVERSAMPLING),
        threads=os.cpu_count() or 1,
    )
    crops = [stage.before(_cut(face, middle, large)) for middle in (eyes, lips)]
    red, green, blue = BACKDROP

    def draw(doing: Float32Array) -> Image.Image:
        posed = stage.pose(acting(avatar, doing, front))
        cell = Image.new("RGB", (_CELL, _FACE), (255, 255, 255))
        for view, place in (
            (stage, (0, 0)),
            (crops[0], (_FACE + _BETWEEN, 0)),
            (crops[1], (_FACE + _BETWEEN, _FACE - _CROP_HEIGHT)),
        ):
            picture = Image.fromarray(
                view.render(posed, background=(red / 255, green / 255, blue / 255)).copy()
            )
            cell.paste(picture.reduce(OVERSAMPLING), place)
        return cell

    return draw


def _cut(camera: Camera, middle: Float32Array, scale: float) -> Camera:
    """What a camera sees around a point (2,), pixels, enlarged, as large as a crop."""
    width, height = _CROP_WIDTH * OVERSAMPLING, _CROP_HEIGHT * OVERSAMPLING
    return replace(
        camera,
        width=width,
        height=height,
        fx=camera.fx * scale,
        fy=camera.fy * scale,
        cx=(camera.cx - float(middle[0])) * scale + width / 2,
        cy=(camera.cy - float(middle[1])) * scale + height / 2,
    )
