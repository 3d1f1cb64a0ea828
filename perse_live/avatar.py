"""The avatar: a personal rig, Gaussians bound to it, and its provenance. One `.perse` file holds one avatar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perse_live.animate import HeadPose, RigidBinding, SurfaceBinding
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array, UInt8Array
from perse_live.attribute_file import (
    ATTRIBUTE_ARRAYS,
    ATTRIBUTE_DIMENSIONS,
    DECODER_ARRAYS,
    InvalidAttributesError,
    pack_attributes,
    pack_decoder,
    unpack_attributes,
    unpack_decoder,
)
from perse_live.attributes import LearnedAttribute, Look
from perse_live.camera import Camera
from perse_live.container import ArraySpec, Schema, load_container, save_container
from perse_live.correctives import (
    Corrected,
    Correctives,
    InvalidCorrectivesError,
    correct,
    feature_values,
    no_correctives,
)
from perse_live.correctives_file import (
    CORRECTIVE_ARRAYS,
    CORRECTIVE_DIMENSIONS,
    pack_correctives,
    pack_look_correctives,
    unpack_correctives,
    with_look_correctives,
)
from perse_live.decoder.features import network_hash
from perse_live.decoder.network import Decoder
from perse_live.errors import UserError
from perse_live.head.expressions import EXPRESSION_NAMES, consistent_actions, index
from perse_live.head.landmarks import IRIS, LandmarkModel, load_landmark_model
from perse_live.head.residual import spread_matrix_with_outline
from perse_live.head.rig import HeadRig, Part

if TYPE_CHECKING:
    from perse_live.gaussians import Gaussians
    from perse_live.rendering import Renderer

FORMAT_VERSION = 3
OLDEST_VERSION = 2
"""The first version that can still be read: without correctives."""
MAX_GAUSSIANS = 200_000
_MIN_DEPTH = 0.02  # metres, minimum depth of any landmark at rest; photos are taken from 0.3 m on
MAX_CAMERA_SIDE = 2048
"""Pixels; the builder writes 512. Commands draw the photo's view at this size, in 16 bytes a pixel."""

_LIDS = tuple(
    index(f"eye{action}{side}") for action in ("Blink", "Squint") for side in ("Left", "Right")
)
# Fraction of the photo's lid narrowing that is kept at rest, and its maximum
_LIDS_KEPT, _LIDS_MOST = (0.45, 0.35)

_CONVENTIONS = {
    "units": "metres",
    "axes": "head frame: x to the picture's right, y up, z out of the face; camera: OpenCV",
    "quaternions": "wxyz",
    "colors": "sRGB in [0, 1]",
}


@dataclass(frozen=True)
class Provenance:
    """Where an avatar comes from and who agreed to it."""

    photo_sha256: str
    """Of the source photo's bytes."""
    consent_by: str
    """Who confirmed that the person shown agrees, as given on the command line or the terminal."""
    consent_at: str
    """When, ISO 8601 in UTC."""
    creator: str
    """Program and version."""
    licences: tuple[str, ...]
    """Of every asset that went into the avatar."""
    warnings: tuple[str, ...] = ()
    """Warnings about the photo."""
    person_psnr: float | None = None
    """PSNR in dB of the avatar rendered in the photo's view against the photo, inside the person's outline; None: not
    measured.
    """
    face_psnr: float | None = None
    """PSNR in dB inside the face, likewise."""


@dataclass(frozen=True)
class Source:
    """The photo's view: camera, pose, expression and gaze with which the rendering reproduces the photo."""

    camera: Camera
    R_cam_head: Float32Array
    """(3, 3)."""
    t_cam_head: Float32Array
    """(3,) metres."""
    expression: Float32Array
    """(52,) in [0, 1]."""
    gaze: Float32Array
    """(2, 2) radians; left, right eye; yaw, pitch."""
    backdrop: UInt8Array | None = None
    """(h, w, 3) RGB, small and blurred: the photo's background with the person inpainted."""

    @property
    def pose(self) -> HeadPose:
        """Head and shoulders as in the photo."""
        return HeadPose(self.R_cam_head, self.t_cam_head, self.R_cam_head)


@dataclass(frozen=True)
class LandmarkBinding:
    """Where MediaPipe's landmarks lie on the rig, and how landmark offsets move its vertices."""

    vertex_ids: Int32Array
    """(478, 3) corners of the triangle that carries each landmark."""
    barycentrics: Float32Array
    """(478, 3)."""
    spread_ids: Int32Array
    """(U,) vertices that follow landmark deviations."""
    spread: Float32Array
    """(U, 478) how far: vertex offsets = spread @ landmark offsets."""


@dataclass(frozen=True)
class Avatar:
    """Everything the runtime needs to draw one person."""

    rig: HeadRig
    surface: SurfaceBinding
    """The first S Gaussians."""
    rigid: RigidBinding
    """The other R Gaussians."""
    opacities: Float32Array
    """(S + R,) in [0, 1]."""
    colors: Float32Array
    """(S + R, 3) sRGB."""
    regions: UInt8Array
    """(S + R,) class of each: skin, lips, hair ...; see `perse_live.regions.Region`."""
    landmarks: LandmarkBinding
    source: Source
    provenance: Provenance
    attributes: tuple[Look, ...] = ()
    """Attributes that can be blended in, in the order of their hotkeys. Files hold learned ones only."""
    decoder: Decoder | None = None
    """The network that the adapters of learned attributes modify; None while there are none."""
    correctives: Correctives = field(default_factory=no_correctives)
    """How colours, opacities and positions depend on expression and gaze; the fields above are those at rest."""

    def __len__(self) -> int:
        return len(self.opacities)

    @staticmethod
    def load(path: str | Path) -> Avatar:
        """Read a `.perse` file; raises UserError for one that is missing, damaged or of another version (see `load_avatar`)."""
        return load_avatar(Path(path))

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write a `.perse` file; nothing half-written is left under its name.

        Another avatar of that name is replaced; a file that perse-live did not write only with `overwrite`. Raises UserError
        where the file cannot be written.
        """
        from perse_live.outputs import check_outputs

        check_outputs([Path(path)], inputs=(), overwrite=overwrite)
        save_avatar(Path(path), self)

    def render(
        self,
        expression: Mapping[str, float] | FloatArray | None = None,
        pose: HeadPose | Sequence[float] | None = None,
        attributes: Mapping[str, float] | None = None,
        *,
        gaze: FloatArray | None = None,
        residual: Float32Array | None = None,
        size: int = 512,
        background: Sequence[int] = (217, 219, 222),
    ) -> UInt8Array:
        """Render the avatar, framed as in its photo.

        Args:
            expression: Scores in [0, 1] by ARKit name, relative to the person's face at rest, or an absolute vector (52,) in the
                order of `EXPRESSION_NAMES`; None: at rest.
            pose: (yaw, pitch, roll) in degrees from facing the camera: > 0 turns the face to the picture's right, tips it down,
                tilts it to the picture's left; or a `HeadPose`; None: facing the camera.
            attributes: Weights in [0, 1] by name.
            gaze: (2, 2) radians of the left and the right eye, yaw towards +x and pitch upwards; None: by the expression's
                eyeLook scores.
            residual: (478, 3) metres, head frame: landmark offsets beyond the expression, as a tracker gives them.
            size: Width and height, pixels, 16 to 4096. The first picture of a size takes some tenths of a second longer.
            background: Red, green and blue, 0 to 255.

        Returns:
            (size, size, 3) uint8 RGB, a new array.

        Raises:
            UserError: For an unknown name or a value out of range.
        """
        from perse_live.rendering import Renderer

        if size not in self._renderers:
            self._renderers[size] = Renderer(self, size)
        return self._renderers[size].render(
            expression, pose, attributes, gaze=gaze, residual=residual, background=background
        )

    def gaussians(
        self,
        expression: Mapping[str, float] | FloatArray | None = None,
        pose: HeadPose | Sequence[float] | None = None,
        attributes: Mapping[str, float] | None = None,
        *,
        gaze: FloatArray | None = None,
        residual: Float32Array | None = None,
    ) -> Gaussians:
        """The posed Gaussians in the camera frame, ready for splatting; arguments and errors as of `render`."""
        from perse_live.rendering import posed_gaussians

        return posed_gaussians(self, expression, pose, attributes, gaze=gaze, residual=residual)

    @cached_property
    def _renderers(self) -> dict[int, Renderer]:
        """By size in pixels; `dataclasses.replace` starts with none."""
        return {}


def neutral_landmarks(avatar: Avatar) -> Float32Array:
    """MediaPipe's landmarks on the avatar's face at rest, (478, 3) metres, head frame."""
    corners = avatar.rig.vertices[avatar.landmarks.vertex_ids]
    return (corners * avatar.landmarks.barycentrics[:, :, None]).sum(1)


def personal_landmark_model(avatar: Avatar) -> LandmarkModel:
    """The landmark model with this avatar's action displacements; irises as in the mean model."""
    model, bound = load_landmark_model(), avatar.landmarks
    actions = np.einsum("alkc,lk->alc", avatar.rig.actions[:, bound.vertex_ids], bound.barycentrics)
    actions[:, list(IRIS)] = model.actions[:, list(IRIS)]
    return replace(model, actions=actions.astype(np.float32))


def with_resting_lids(avatar: Avatar, expression: Float32Array) -> Float32Array:
    """An expression relative to rest, with the lids at the subject's usual opening.

    Lids narrowed in the photo are partly the person's resting state: 45 % of the photo's blink and squint, at most 0.35, is kept
    as an offset, or the eyes would stare. Full strength stays 1. Actions that exclude each other are reconciled
    (`perse_live.head.expressions.consistent_actions`). expression: (52,) in [0, 1]. Returns (52,).
    """
    narrowed = np.zeros_like(expression)
    ids = list(_LIDS)
    narrowed[ids] = np.minimum(_LIDS_KEPT * avatar.source.expression[ids], _LIDS_MOST)
    return consistent_actions(narrowed + (1 - narrowed) * expression)


def corrected(
    avatar: Avatar, expression: FloatArray, gaze: FloatArray, secondary: FloatArray | None = None
) -> Avatar:
    """The avatar with its correctives evaluated for an expression: changed colours, opacities and positions, no correctives left.

    expression: (52,) [0, 1], gaze: (2, 2) radians, as drawn (after `with_resting_lids`); secondary: (4,) as
    `perse_live.correctives.SECONDARY_NAMES`, None: 0. The reference of `perse_live.animator`. Attributes must be blended
    in before, by `perse_live.attribute_blending.with_attributes`. Returns the same object where it has no correctives.
    """
    if not avatar.correctives.components:
        return avatar
    base = Corrected(avatar.surface.positions, avatar.rigid.means, avatar.opacities, avatar.colors)
    now = correct(
        avatar.correctives,
        base,
        feature_values(avatar.correctives.components, expression, gaze, secondary),
    )
    return replace(
        avatar,
        surface=replace(avatar.surface, positions=now.positions),
        rigid=replace(avatar.rigid, means=now.means),
        opacities=now.opacities,
        colors=now.colors,
        correctives=no_correctives(),
    )


def painted(avatar: Avatar, values: FloatArray | BoolArray) -> Avatar:
    """The avatar with a grey value per Gaussian, (G,) in [0, 1], independent of expression: for rendering masks."""
    deltas = avatar.correctives.deltas
    kept = replace(avatar.correctives, deltas=replace(deltas, colors=np.zeros_like(deltas.colors)))
    return replace(
        avatar, colors=np.repeat(values[:, None], 3, 1).astype(np.float32), correctives=kept
    )


def spread_offsets(avatar: Avatar, residual: Float32Array) -> Float32Array:
    """Vertex offsets (V, 3) interpolated from a landmark residual (478, 3); metres, head frame."""
    offsets = np.zeros_like(avatar.rig.vertices)
    offsets[avatar.landmarks.spread_ids] = avatar.landmarks.spread @ residual.astype(np.float32)
    return offsets


def following_outline(avatar: Avatar) -> Avatar:
    """The avatar with landmark residuals of the face's outline applied as well, as needed for tracking (takes 0.3 s)."""
    ids, matrix = spread_matrix_with_outline(avatar.rig, avatar.landmarks)
    return replace(
        avatar,
        landmarks=replace(avatar.landmarks, spread_ids=ids, spread=matrix.astype(np.float32)),
    )


_SCHEMA = Schema(
    format_name="perse-live avatar",
    format_version=FORMAT_VERSION,
    arrays={
        "rig.vertices": ArraySpec("float32", ("V", 3), -3, 3),
        "rig.actions": ArraySpec("float16", (len(EXPRESSION_NAMES), "V", 3), -1, 1),
        "rig.triangles": ArraySpec("int32", ("T", 3), index_into="V"),
        "rig.parts": ArraySpec("uint8", ("T",), 0, max(Part)),
        "rig.head_weights": ArraySpec("float32", ("V",), 0, 1),
        "rig.eye_centers": ArraySpec("float32", (2, 3), -1, 1),
        "rig.eye_radius": ArraySpec("float32", (1,), 0.001, 0.1),
        "rig.neck_pivot": ArraySpec("float32", (3,), -1, 1),
        "surface.triangles": ArraySpec("int32", ("S",), index_into="T"),
        "surface.positions": ArraySpec("float32", ("S", 3), -1e3, 1e3),
        "surface.axes": ArraySpec("float32", ("S", 4), -1e3, 1e3),
        "surface.thickness": ArraySpec("float32", ("S",), 0, 1),
        "surface.two_sided": ArraySpec("uint8", ("S",), 0, 1),
        "rigid.means": ArraySpec("float32", ("R", 3), -3, 3),
        "rigid.quats": ArraySpec("float32", ("R", 4), -1.001, 1.001),
        "rigid.scales": ArraySpec("float32", ("R", 3), 1e-7, 1),
        "rigid.head_weights": ArraySpec("float32", ("R",), 0, 1),
        "opacities": ArraySpec("float32", ("G",), 0, 1),
        "colors": ArraySpec("float32", ("G", 3), 0, 1),
        "regions": ArraySpec("uint8", ("G",), 0, 63),
        "landmarks.vertex_ids": ArraySpec("int32", (478, 3), index_into="V"),
        "landmarks.barycentrics": ArraySpec("float32", (478, 3), -0.01, 1.01),
        "landmarks.spread_ids": ArraySpec("int32", ("U",), index_into="V"),
        "landmarks.spread": ArraySpec("float16", ("U", 478), -100, 100),
        "source.R_cam_head": ArraySpec("float32", (3, 3), -1.001, 1.001),
        "source.t_cam_head": ArraySpec("float32", (3,), -100, 100),
        "source.expression": ArraySpec("float32", (len(EXPRESSION_NAMES),), 0, 1),
        "source.gaze": ArraySpec("float32", (2, 2), -2, 2),
        "source.backdrop": ArraySpec("uint8", ("BH", "BW", 3), optional=True),
        **DECODER_ARRAYS,
        **ATTRIBUTE_ARRAYS,
        **CORRECTIVE_ARRAYS,
    },
    dimensions={
        "V": (3, 50_000),
        "T": (1, 100_000),
        "S": (0, MAX_GAUSSIANS),
        "R": (0, MAX_GAUSSIANS),
        "G": (1, MAX_GAUSSIANS),
        "U": (0, 50_000),
        "BH": (2, 512),
        "BW": (2, 512),
        **ATTRIBUTE_DIMENSIONS,
        **CORRECTIVE_DIMENSIONS,
    },
    manifest={
        "conventions": "object",
        "expressions": "texts",
        "camera": "object",
        "provenance": "object",
    },
    oldest_version=OLDEST_VERSION,
)


def save_avatar(path: Path, avatar: Avatar) -> None:
    """Write a `.perse` file; nothing half-written is left under its name.

    Raises UserError where the disk refuses, ValueError for an avatar that `load_avatar` would refuse.
    """
    rig, source = avatar.rig, avatar.source
    arrays: dict[str, np.ndarray] = {
        "rig.vertices": rig.vertices,
        "rig.actions": rig.actions,
        "rig.triangles": rig.triangles,
        "rig.parts": rig.parts,
        "rig.head_weights": rig.head_weights,
        "rig.eye_centers": rig.eye_centers,
        "rig.eye_radius": np.array([rig.eye_radius]),
        "rig.neck_pivot": rig.neck_pivot,
        "opacities": avatar.opacities,
        "colors": avatar.colors,
        "regions": avatar.regions,
        "source.R_cam_head": source.R_cam_head,
        "source.t_cam_head": source.t_cam_head,
        "source.expression": source.expression,
        "source.gaze": source.gaze,
        **{f"surface.{name}": value for name, value in vars(avatar.surface).items()},
        **{f"rigid.{name}": value for name, value in vars(avatar.rigid).items()},
        **{f"landmarks.{name}": value for name, value in vars(avatar.landmarks).items()},
    }
    if source.backdrop is not None:
        arrays["source.backdrop"] = source.backdrop
    arrays = {
        name: np.ascontiguousarray(array, _SCHEMA.arrays[name].dtype)
        for name, array in arrays.items()
    }
    try:
        packed, entries = pack_attributes(avatar.attributes)
        deltas, components = pack_correctives(avatar.correctives, len(avatar))
        learned = [one for one in avatar.attributes if isinstance(one, LearnedAttribute)]
        arrays |= deltas | pack_look_correctives(learned, len(components))
    except (InvalidAttributesError, InvalidCorrectivesError) as error:
        raise ValueError(f"not saved to {path}: {error}") from error
    if packed and avatar.decoder is None:
        raise ValueError(f"not saved to {path}: it has attributes, but no decoder")
    arrays |= packed | pack_decoder(avatar.decoder)
    manifest: dict[str, Any] = {
        "conventions": _CONVENTIONS,
        "expressions": list(EXPRESSION_NAMES),
        "camera": asdict(source.camera),
        "provenance": asdict(avatar.provenance),
    }
    if entries:
        manifest["attributes"] = entries
    if components:
        manifest["correctives"] = components
    if avatar.decoder is not None:
        manifest["network"] = {"sha256": network_of(avatar)}
    save_container(path, arrays, manifest, _SCHEMA)


def load_avatar(path: Path) -> Avatar:
    """Read a `.perse` file as untrusted input.

    Files of version 2 had no correctives, and are read. Raises UserError, one line, for a file that is missing, damaged, of
    another version, or holds anything out of range. Actions and the landmarks' spread are stored in half precision, attributes
    and correctives as `perse_live.attribute_file` and `perse_live.correctives_file` say.
    """
    arrays, manifest = load_container(path, _SCHEMA)

    def take(prefix: str) -> dict[str, Any]:
        return {
            name.removeprefix(prefix): array
            for name, array in arrays.items()
            if name.startswith(prefix)
        }

    if tuple(manifest["expressions"]) != EXPRESSION_NAMES:
        raise UserError(
            f"{path}: its expressions are not the 52 that this version knows; build the avatar again"
        )
    rig_arrays = take("rig.")
    eye_radius, actions = (
        float(rig_arrays.pop("eye_radius")[0]),
        rig_arrays.pop("actions").astype(np.float32),
    )
    rig = HeadRig(**rig_arrays, eye_radius=eye_radius, actions=actions)
    surface, rigid = SurfaceBinding(**take("surface.")), RigidBinding(**take("rigid."))
    if len(surface.triangles) + len(rigid.means) != len(arrays["opacities"]):
        raise UserError(
            f"{path}: damaged: Gaussians and their bindings differ in number; build the avatar again"
        )
    if (np.abs((rigid.quats.astype(np.float64) ** 2).sum(1) - 1) > 0.01).any():
        raise UserError(
            f"{path}: damaged: a quaternion is not of unit length; build the avatar again"
        )
    landmark_arrays = take("landmarks.")
    landmarks = LandmarkBinding(
        **landmark_arrays | {"spread": landmark_arrays["spread"].astype(np.float32)}
    )
    source = Source(_camera(manifest["camera"], path), **take("source."))
    rotation = source.R_cam_head.astype(np.float64)
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
        raise UserError(f"{path}: damaged: its head pose is not a rotation; build the avatar again")
    try:
        attributes, decoder = (
            unpack_attributes(arrays, manifest.get("attributes")),
            unpack_decoder(arrays),
        )
        correctives = unpack_correctives(arrays, manifest.get("correctives"))
        attributes = with_look_correctives(attributes, arrays, len(correctives))
    except (InvalidAttributesError, InvalidCorrectivesError) as error:
        raise UserError(f"{path}: damaged: {error}; build the avatar again") from error
    avatar = Avatar(
        rig,
        surface,
        rigid,
        arrays["opacities"],
        arrays["colors"],
        arrays["regions"],
        landmarks,
        source,
        _provenance(manifest["provenance"], path),
        attributes,
        decoder,
        correctives,
    )
    if (neutral_landmarks(avatar) @ rotation[2] + source.t_cam_head[2] < _MIN_DEPTH).any():
        raise UserError(
            f"{path}: damaged: its face is not in front of the camera; build the avatar again"
        )
    if attributes and decoder is None:
        raise UserError(
            f"{path}: damaged: it has attributes, but no network that decodes them; build the avatar again"
        )
    if decoder is not None and manifest.get("network") != {"sha256": network_of(avatar)}:
        raise UserError(
            f"{path}: its network was trained for another avatar; build the avatar again"
        )
    return avatar


def network_of(avatar: Avatar) -> str:
    """Hash of the decoder and of the arrays that its inputs are computed from; adapters are tied to it. ValueError without
    decoder.
    """
    if avatar.decoder is None:
        raise ValueError("the avatar has no decoder yet")
    return network_hash(
        avatar.decoder, avatar.rig, avatar.surface, avatar.rigid, avatar.colors, avatar.regions
    )


def _camera(values: Any, path: Path) -> Camera:
    try:
        camera = Camera(
            int(values["width"]),
            int(values["height"]),
            *(float(values[name]) for name in ("fx", "fy", "cx", "cy")),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: damaged: its camera is incomplete; build the avatar again"
        ) from error
    sized = all(16 <= side <= MAX_CAMERA_SIDE for side in (camera.width, camera.height))
    if not (
        sized
        and all(1e-3 < f < 1e6 for f in (camera.fx, camera.fy))
        and all(abs(c) < 1e6 for c in (camera.cx, camera.cy))
    ):
        raise UserError(f"{path}: damaged: its camera is out of range; build the avatar again")
    return camera


def _decibels(value: Any) -> float | None:
    if value is None:
        return None
    if not 0 <= float(value) < 1000:
        raise ValueError("out of range")
    return float(value)


def _provenance(values: Any, path: Path) -> Provenance:
    try:
        texts = {
            name: str(values[name])
            for name in ("photo_sha256", "consent_by", "consent_at", "creator")
        }
        return Provenance(
            **texts,
            licences=tuple(str(text) for text in values["licences"]),
            warnings=tuple(str(text) for text in values.get("warnings", ())),
            person_psnr=_decibels(values.get("person_psnr")),
            face_psnr=_decibels(values.get("face_psnr")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path}: damaged: its provenance is incomplete; build the avatar again"
        ) from error
