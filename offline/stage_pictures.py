"""One labelled picture for each stage of a build: what it was given, and what it made of that.

By these a user reports a bad photo, and a developer sees which stage went wrong. All pictures of the head are drawn through the
photo's camera; turned views turn the head about its middle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageColor, ImageDraw, ImageFont

from offline.build_state import BuildState
from offline.gaussian_layer import COVERAGE, surface_layer
from offline.images import blur, dilate, erode
from offline.likeness import own_view
from offline.numeric import facing_of, normalized
from offline.rig.photo_geometry import PhotoGeometry, attribute_map
from perse_live.animator import Animator
from perse_live.arrays import FloatArray, UInt8Array
from perse_live.files import write_image
from perse_live.gaussians import Gaussians
from perse_live.head.expressions import expression
from perse_live.head.landmarks import load_landmark_model, mesh_landmarks
from perse_live.head.rig import Part
from perse_live.poses import facing_pose, turned_pose
from perse_live.regions import Region
from perse_live.rotations import FACING_CAMERA, from_euler_degrees, multiply, to_quat
from perse_live.splatting import CpuRasterizer

_SIDE = 384  # pixels of a panel
_MARGIN, _CAPTION = 10, 40  # pixels
_PAPER, _INK = "white", "black"
_GREY = 0.62
_GREEN, _RED, _BLUE = (ImageColor.getrgb(name)[:3] for name in ("seagreen", "crimson", "royalblue"))
_AMBER = ImageColor.getrgb("orange")[:3]
_GAIN = 4.0  # of the error map
_OVERLAY = 0.6  # share of what is drawn over the portrait, and of the portrait under lines
_TURN = 35.0  # degrees by which heads are turned
_REGION_COLORS = {
    Region.SKIN: "burlywood",
    Region.LIPS: "crimson",
    Region.SCALP: "sienna",
    Region.EYE: "royalblue",
    Region.TEETH: "ivory",
    Region.TONGUE: "palevioletred",
    Region.MOUTH: "maroon",
    Region.HAIR: "orange",
    Region.HAIR_BACK: "darkgoldenrod",
    Region.CLOTHES: "seagreen",
    Region.BODY: "mediumaquamarine",
    Region.LASHES: "black",
    Region.ACCESSORY: "mediumpurple",
}


Panel = tuple[UInt8Array, str]
"""A picture (H, W, 3), RGB, and its caption."""


def write_stage_picture(
    folder: Path, stage: str, state: BuildState, *, side: int = _SIDE, suffix: str = ".png"
) -> None:
    """Write the picture of a stage that has just run as `NN-stage.png`.

    stage: its function's name; side: pixels of a panel; suffix: .png, .jpg or .webp. Raises UserError where it cannot be
    written.
    """
    write_image(folder / stage_file(stage, suffix), strip(PANELS[stage](state), side))


def write_preview(folder: Path, stage: str, state: BuildState) -> Path | None:
    """Write a small picture of what a stage has just done as `NN-stage.webp`, where it shows something; else None.

    In the portrait's view, without captions, quick to draw (under 0.1 s): previews during a build. Raises UserError
    where it cannot be written.
    """
    if stage not in _PREVIEWS:
        return None
    path = folder / stage_file(stage, ".webp")
    write_image(path, _PREVIEWS[stage](state))
    return path


def stage_file(stage: str, suffix: str = ".png") -> str:
    """The name of a stage's picture. stage: a key of `PANELS`."""
    return f"{list(PANELS).index(stage) + 1:02d}-{stage.replace('_', '-')}{suffix}"


def strip(panels: Sequence[Panel], side: int) -> UInt8Array:
    """Panels side by side, each at most `side` pixels high and wide, with captions below. Returns (H, W, 3)."""
    images = [Image.fromarray(image) for image, _ in panels]
    for image in images:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    widths = [max(image.width, side // 2) + _MARGIN for image in images]
    height = max(image.height for image in images) + 2 * _MARGIN + _CAPTION
    page = Image.new("RGB", (_MARGIN + sum(widths), height), _PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(side / 26)
    left = _MARGIN
    for (_, caption), image, width in zip(panels, images, widths, strict=True):
        page.paste(image, (left, _MARGIN))
        at = (left, image.height + _MARGIN + 4)
        draw.multiline_text(at, caption, fill=_INK, font=font, spacing=2)
        left += width
    return np.asarray(page, np.uint8)


def _load(state: BuildState) -> list[Panel]:
    height, width = state.photo.rgb.shape[:2]
    return [(state.photo.rgb, f"the photo\n{width} x {height} pixels")]


def _detect(state: BuildState) -> list[Panel]:
    portrait = state.portrait
    cut = portrait.rgb.copy()
    cut[~portrait.valid] //= 3
    face, to_face = _close_up(portrait.rgb, portrait.detection.landmarks)
    for point in to_face(portrait.detection.landmarks):
        cv2.circle(face, _pixel(point), 2, _GREEN, -1, cv2.LINE_AA)
    return [
        (cut, "the portrait, cut out;\ndark: beyond the photo"),
        (face, "478 landmarks of the face"),
    ]


def _fit_head(state: BuildState) -> list[Panel]:
    portrait, geometry = state.portrait, state.fitted.head.geometry
    found = portrait.detection.landmarks[:, :2]
    fitted = geometry.camera.project(mesh_landmarks(load_landmark_model(), geometry.vertices))
    canvas, to_face = _close_up(
        (portrait.rgb * _OVERLAY).astype(np.uint8), portrait.detection.landmarks
    )
    for a, b in zip(to_face(found), to_face(fitted), strict=True):
        cv2.line(canvas, _pixel(a), _pixel(b), _AMBER, 1, cv2.LINE_AA)
        cv2.circle(canvas, _pixel(b), 2, _RED, -1, cv2.LINE_AA)
        cv2.circle(canvas, _pixel(a), 2, _GREEN, -1, cv2.LINE_AA)
    off = float(np.median(np.linalg.norm(found - fitted, axis=1)))
    return [
        (canvas, f"landmarks: found green, on the rig red\nmedian distance {off:.1f} px"),
        (_with_rig(state, geometry), f"the fitted rig, yaw {geometry.yaw:.0f}°"),
        (shaded(geometry), "the rig alone"),
    ]


def _segment(state: BuildState) -> list[Panel]:
    look = state.segmentation.look
    return [
        (_bytes(np.repeat(look.alpha[..., None], 3, 2)), "the person's matte"),
        (_part_labels(state), "skin red, hair blue, clothes green"),
        (_bytes(_on_grey(look.image, look.alpha)), "colours without background\nat soft edges"),
        (
            _bytes(np.where(look.valid[..., None], look.purity[..., None], 0.0) * np.ones(3)),
            "purity: dark where a pixel mixes\nskin with something else",
        ),
    ]


def _personalise_rig(state: BuildState) -> list[Panel]:
    before, after = state.fitted.head.geometry, state.outlined.geometry
    canvas = (state.portrait.rgb * _OVERLAY).astype(np.uint8)
    for geometry, color in ((before, _RED), (after, _GREEN)):
        covered = geometry.seen.covered
        canvas[covered & ~erode(covered, 1)] = color
    return [
        (canvas, "the rig's outline: before red, after green"),
        (_with_rig(state, after), "the rig with the person's outline"),
    ]


def _observe(state: BuildState) -> list[Panel]:
    seen, rgb = state.observation, state.portrait.rgb
    points, far = seen.skin.points, -2 * np.copysign(_TURN, state.outlined.geometry.yaw)
    cover = rgb.copy()
    for mask, color in ((seen.hair, _BLUE), (seen.dressed, _GREEN)):
        cover[mask] = cover[mask] // 2 + np.array(color, np.uint8) // 2
    confidence = seen.skin.confidence[:, None]
    trust = confidence * _unit(_GREEN) + (1 - confidence) * _unit(_RED)
    trust[seen.skin.scalp] = _unit(_BLUE)
    observed = np.where(confidence > 0.5, points.observed, _unit(_AMBER))
    return [
        (cover, "hair blue, clothes green"),
        (
            _points_view(state, trust),
            "trust in the photo's colour: full green,\nnone red; blue grows hair",
        ),
        (_points_view(state, trust, yaw=far), "the same, from the far side"),
        (_points_view(state, observed), "observed colours; amber: none"),
    ]


def _complete(state: BuildState) -> list[Panel]:
    colors = state.completed.colors
    front = -state.outlined.geometry.yaw
    views = (("front", 0.0), ("right side", 2 * _TURN), ("left side", -2 * _TURN), ("back", 180.0))
    return [
        (_points_view(state, colors, yaw=front + yaw), f"completed colours: {name}")
        for name, yaw in views
    ]


def _lift(state: BuildState) -> list[Panel]:
    layer = state.lifted
    palette = {int(k): _unit(ImageColor.getrgb(name)[:3]) for k, name in _REGION_COLORS.items()}
    regions = np.array([palette[int(k)] for k in layer.regions], np.float32)
    by_region = replace(layer.gaussians, colors=regions)
    count = f"{len(layer):,} Gaussians"
    return [
        (
            _view(state, by_region),
            f"{count} by region:\nhair amber, clothes green, eyes blue, lips red",
        ),
        (_view(state, by_region, yaw=_TURN), f"turned by {_TURN:.0f}°"),
        (_view(state, layer.gaussians), "in their colours"),
        (_view(state, layer.gaussians, yaw=_TURN), f"turned by {_TURN:.0f}°"),
    ]


def _refine(state: BuildState) -> list[Panel]:
    look = state.segmentation.look
    return [
        (_bytes(_on_grey(look.image, look.alpha)), "the photo"),
        (_view(state, state.lifted.gaussians), "before refinement"),
        (_view(state, state.refined.gaussians), "after"),
        (_view(state, state.refined.gaussians, yaw=-_TURN), f"after, turned by {-_TURN:.0f}°"),
        (_view(state, state.refined.gaussians, yaw=_TURN), f"after, turned by {_TURN:.0f}°"),
    ]


def _bind(state: BuildState) -> list[Panel]:
    avatar = state.avatar
    camera, gaze = avatar.source.camera, np.zeros((2, 2), np.float32)
    raster = CpuRasterizer(camera.width, camera.height, threads=1)
    animator, front = Animator(avatar, threads=1), facing_pose(avatar)
    doing = (
        ("neutral", expression(), front),
        ("jaw open", expression(jawOpen=0.5), front),
        ("smile", expression(mouthSmileLeft=1.0, mouthSmileRight=1.0), front),
        ("eyes shut", expression(eyeBlinkLeft=1.0, eyeBlinkRight=1.0), front),
        (f"turned by {_TURN:.0f}°", expression(), turned_pose(avatar, _TURN, 0.0, 0.0)),
    )
    return [
        (
            _bytes(_from_rgba(raster.render_rgba(animator.pose(expressed, gaze, pose), camera))),
            caption,
        )
        for caption, expressed, pose in doing
    ]


def _evaluate(state: BuildState) -> list[Panel]:
    matte, like = state.segmentation.look.alpha, state.likeness
    own, photo = _from_rgba(own_view(state.avatar)), _on_grey(_unit(state.portrait.rgb), matte)
    error = np.abs(own - photo).mean(2) * (matte > 0.5)
    heat = np.asarray(cv2.applyColorMap(_bytes(_GAIN * error), cv2.COLORMAP_INFERNO), np.uint8)
    return [
        (_bytes(photo), "the photo, cut out by its matte"),
        (
            _bytes(own),
            f"the avatar's own view\nperson {like.person:.1f} dB, face {like.face:.1f} dB",
        ),
        (np.ascontiguousarray(heat[..., ::-1]), f"their difference, {_GAIN:.0f} times"),
    ]


_DRAWN = (_load, _detect, _fit_head, _segment, _personalise_rig, _observe, _complete, _lift)
PANELS = {show.__name__[1:]: show for show in (*_DRAWN, _refine, _bind, _evaluate)}
"""What shows each stage, by the name of its function."""


_PREVIEWS: dict[str, Callable[[BuildState], UInt8Array]] = {
    "detect": lambda state: state.portrait.rgb,
    "fit_head": lambda state: _with_rig(state, state.fitted.head.geometry),
    "segment": lambda state: _part_labels(state),
    "lift": lambda state: _view(state, state.lifted.gaussians),
    "refine": lambda state: _view(state, state.refined.gaussians),
    "evaluate": lambda state: _bytes(_from_rgba(own_view(state.avatar))),
}
"""What `write_preview` shows; "detect" is the portrait itself, to compare the avatar with."""


def _points_view(state: BuildState, colors: FloatArray, *, yaw: float = 0.0) -> UInt8Array:
    """The skin's points alone, as opaque splats of given colours (N, 3); without those that face away, the surface's inside."""
    points, turn = state.observation.skin.points, _turned(yaw)
    center = state.outlined.geometry.head_center()
    facing = facing_of((points.means - center) @ turn.T + center, points.normals @ turn.T)
    layer = surface_layer(
        points.means, points.normals, points.on.spacing * COVERAGE, colors, Region.SKIN
    )
    return _view(state, layer.select(facing > 0).gaussians, yaw=yaw)


def _turned(yaw: float) -> FloatArray:
    """Rotation (3, 3) of the camera frame by which the head turns by yaw degrees."""
    return FACING_CAMERA @ from_euler_degrees(yaw, 0.0, 0.0) @ FACING_CAMERA


def _view(state: BuildState, gaussians: Gaussians, *, yaw: float = 0.0) -> UInt8Array:
    """Gaussians through the photo's camera, the head turned by yaw degrees from where it is in the photo, on grey."""
    camera, turn = state.portrait.camera, _turned(yaw)
    center = state.outlined.geometry.head_center()
    means = ((gaussians.means - center) @ turn.T + center).astype(np.float32)
    quats = multiply(np.broadcast_to(to_quat(turn), gaussians.quats.shape), gaussians.quats)
    turned = replace(gaussians, means=means, quats=quats.astype(np.float32))
    raster = CpuRasterizer(camera.width, camera.height, threads=1)
    return _bytes(_from_rgba(raster.render_rgba(turned, camera)))


def shaded(geometry: PhotoGeometry) -> UInt8Array:
    """The rig in plain shading, (H, W, 3), on grey."""
    normals = attribute_map(geometry, geometry.normals.astype(np.float32))
    light = np.clip(-(np.nan_to_num(normals) @ normalized(np.array([1.0, 1.0, 2.0]))), 0, 1)[
        ..., None
    ]
    eyes = geometry.part_map(Part.EYE_LEFT, Part.EYE_RIGHT)[..., None]
    base = np.where(eyes, 1.0, (1 + _GREY) / 2) * np.ones(3)
    return _bytes(np.where(geometry.seen.covered[..., None], base * (1 + 2 * light) / 3, _GREY))


def _with_rig(state: BuildState, geometry: PhotoGeometry) -> UInt8Array:
    """The portrait with the shaded rig over it."""
    weight = _OVERLAY * blur(dilate(geometry.seen.covered, 1), 1.0)[..., None]
    return _clipped(state.portrait.rgb * (1 - weight) + shaded(geometry) * weight)


def _part_labels(state: BuildState) -> UInt8Array:
    """The portrait with the probabilities of skin, hair and clothes as colours over it."""
    look, labels = state.segmentation.look, state.portrait.rgb.astype(np.float32)
    for share, color in ((look.skin, _RED), (look.hair, _BLUE), (look.clothes, _GREEN)):
        weight = (_OVERLAY * share * look.alpha)[..., None]
        labels = labels * (1 - weight) + np.array(color, np.float32) * weight
    return _clipped(labels)


def _on_grey(image: FloatArray, alpha: FloatArray) -> FloatArray:
    return image * alpha[..., None] + _GREY * (1 - alpha[..., None])


def _from_rgba(rgba: UInt8Array) -> FloatArray:
    """(H, W, 3) in [0, 1] of a picture premultiplied by alpha, on grey."""
    return _unit(rgba[..., :3]) + _GREY * (1 - _unit(rgba[..., 3:]))


def _unit(colors: ArrayLike) -> FloatArray:
    """Bytes on a scale to 1."""
    return np.asarray(colors) / np.iinfo(np.uint8).max


def _bytes(image: FloatArray) -> UInt8Array:
    return _clipped(np.asarray(image) * np.iinfo(np.uint8).max)


def _clipped(image: FloatArray) -> UInt8Array:
    return np.asarray(cv2.convertScaleAbs(np.maximum(image, 0)), np.uint8)


def _close_up(
    image: UInt8Array, landmarks: FloatArray
) -> tuple[UInt8Array, Callable[[FloatArray], FloatArray]]:
    """The face's part of the portrait, enlarged to the portrait's size; and how its pixels (N, 2+) lie there, (N, 2)."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    side = 1.15 * float((high - low).max())
    corner = (low + high - side) / 2
    scale = len(image) / side
    matrix = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    face = np.asarray(
        cv2.warpAffine(image, matrix, (len(image), len(image)), flags=cv2.INTER_CUBIC), np.uint8
    )
    return face, lambda points: (points[:, :2] - corner) * scale


def _pixel(point: FloatArray) -> tuple[int, int]:
    return round(float(point[0]) - 0.5), round(float(point[1]) - 0.5)
