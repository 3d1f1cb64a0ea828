"""Draws an avatar in a look with all its maps: what guides a video model, and what a data set keeps.

Depth, normals and classes of hair, clothes and things come from the Gaussians: what a pixel shows of them is weighted as its
colour is. Classes within the face come from the rig's mesh, which is sharper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.spatial import KDTree

from offline.animation.guide_maps import GuideMaps, SemanticClass
from offline.animation.head_classes import (
    SKIN_CLASSES,
    gaussian_classes,
    mesh_class_weights,
    triangle_classes,
)
from offline.editing.contract import View
from perse_live.animate import neck_frame, pose_points
from perse_live.animator import Animator
from perse_live.arrays import Float32Array, Int64Array, UInt8Array
from perse_live.attribute_blending import with_attributes
from perse_live.attributes import Look
from perse_live.avatar import Avatar
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.head.rig import Part
from perse_live.raster import rasterise, vertex_normals
from perse_live.splatting.backend import Rasterizer, open_rasterizer

_LEAST_ALPHA = 0.1  # under which a pixel has no depth and no normal
_LEAST_CLASS = 0.5  # alpha from which a pixel has a class
_VISIBLE = 0.05  # opacity of a Gaussian that others take their normal from
_NEIGHBOURS = 24  # Gaussians that a normal of hair or clothes is fitted to
_NORMAL_STEP = np.float32(0.01)  # metres along a normal, whose end is posed with its foot
_CHANGED = 8.0  # what a difference of pixels is multiplied with: 1/8 counts fully
_UNNOTICED = 0.02  # largest difference of a channel that counts as none where the look is


@dataclass(frozen=True, eq=False)
class LookFrame:
    """One frame of an avatar in a look."""

    picture: Float32Array
    """(H, W, 4): sRGB times alpha, alpha; in [0, 1]."""
    part: UInt8Array | None
    """(H, W) from 0 to 255: where the look is seen, or hides what was seen; None where that was not asked for."""
    maps: GuideMaps | None
    """None where they were not asked for; their colours lie over the background."""


class GuideRenderer:
    """Draws one avatar through one camera in one look; for one thread at a time."""

    def __init__(
        self,
        avatar: Avatar,
        camera: Camera,
        look: Look | None = None,
        *,
        background: tuple[int, int, int] = (255, 255, 255),
        threads: int = 1,
        rasterizer: Rasterizer | None = None,
    ) -> None:
        """look: at full weight, None: none. background: sRGB from 0 to 255. rasterizer: of the camera's size, to be shared by
        renderers that take turns; None: one of its own.
        """
        self._camera, self._threads = camera, threads
        self._behind = np.asarray(np.array(background) / 255, np.float32)
        plain = replace(avatar, attributes=() if look is None else (look,))
        blended = (
            plain if look is None else with_attributes(plain, plain.attributes, {look.name: 1.0})
        )
        self._avatar = replace(blended, attributes=())
        self._animator = Animator(self._avatar, threads=threads)
        self._rasterizer = rasterizer or open_rasterizer(
            camera.width, camera.height, device="auto", threads=threads
        )
        self._looks = None if look is None else _look_mask(avatar, look)
        self._geometry = _Geometry(self._avatar, look, self._looks)

    def maps(self, view: View) -> GuideMaps:
        """The avatar in the look with all its maps. view: its camera is not looked at."""
        maps = self.frame(view, geometry=True).maps
        assert maps is not None
        return maps

    def frame(
        self, view: View, *, geometry: bool, without: Float32Array | None = None
    ) -> LookFrame:
        """The avatar in the look.

        geometry: whether its maps are wanted. without: the `LookFrame.picture` of the same avatar and view without the look;
        then the mask of the part is drawn too.
        """
        gaussians = self._animator.pose(view.expression, view.gaze, view.pose)
        picture = np.clip(self._render(gaussians), 0, 1)
        wanted = without is not None and self._looks is not None
        maps = seen = part = None
        if geometry:
            maps, seen = self._maps(view, gaussians, picture)
        elif wanted:
            seen = self._render(gaussians, self._geometry.last)[..., 2]
        if wanted and without is not None and seen is not None:
            part = part_mask(picture, without, seen)
        return LookFrame(picture, part, maps)

    def _render(self, gaussians: Gaussians, values: Float32Array | None = None) -> Float32Array:
        """(H, W, 4) on black; a copy. values: (G, 3) instead of the Gaussians' colours."""
        if values is not None:
            gaussians = replace(gaussians, colors=np.ascontiguousarray(values, np.float32))
        return self._rasterizer.render_float(
            gaussians, self._camera, background=(0.0, 0.0, 0.0)
        ).copy()

    def _maps(
        self, view: View, gaussians: Gaussians, picture: Float32Array
    ) -> tuple[GuideMaps, Float32Array]:
        """The maps, and the weight (H, W) with which the look's Gaussians are seen."""
        geometry, camera = self._geometry, self._camera
        vertices = self._animator.vertices(view.expression, view.gaze, view.pose)
        normals = geometry.normals(vertices, gaussians, view)
        first = self._render(gaussians, np.column_stack([gaussians.means[:, 2], normals[:, :2]]))
        second = self._render(gaussians, np.column_stack([normals[:, 2], geometry.first]))
        third = self._render(gaussians, geometry.last)
        alpha = picture[..., 3]
        seen = alpha > _LEAST_ALPHA
        depth = np.where(seen, first[..., 0] / np.maximum(alpha, _LEAST_ALPHA), 0)
        mean = (first[..., 1], first[..., 2], second[..., 0])
        length = np.sqrt(sum(channel * channel for channel in mean))
        share = seen / np.maximum(length, 1e-6)
        groups = (second[..., 1], second[..., 2], third[..., 0], third[..., 1])
        maps = GuideMaps(
            over(picture, self._behind),
            np.rint(alpha * 255).astype(np.uint8),
            depth.astype(np.float32),
            np.stack([channel * share for channel in mean], -1).astype(np.float32),
            geometry.semantic(vertices, camera, groups, alpha),
            geometry.landmarks(vertices, camera),
        )
        return maps, third[..., 2]


def over(picture: Float32Array, behind: Float32Array) -> UInt8Array:
    """A picture (H, W, 4), sRGB times alpha, over a colour (3,) in [0, 1]: (H, W, 3)."""
    left = 255 - 255 * picture[..., 3]
    drawn = [
        255 * picture[..., k] + left * behind[k] + np.float32(0.5)  # rounded by what follows
        for k in range(3)
    ]
    return np.asarray(cv2.merge([np.minimum(one, 255).astype(np.uint8) for one in drawn]), np.uint8)


def part_mask(picture: Float32Array, without: Float32Array, seen: Float32Array) -> UInt8Array:
    """Where a look is seen, or hides what was seen: (H, W) from 0 to 255.

    picture, without: (H, W, 4), sRGB times alpha, with the look and without it; seen: (H, W) weight of the look's Gaussians.
    """
    coverage = picture[..., 3] - without[..., 3]
    behind = np.float32(0.5) * coverage  # both over grey
    difference = np.abs(coverage)
    for k in range(3):
        difference = np.maximum(difference, np.abs(picture[..., k] - without[..., k] - behind))
    mask = np.maximum(seen * (difference > _UNNOTICED), np.clip(_CHANGED * difference, 0, 1))
    wide = cv2.dilate(np.ascontiguousarray(mask, np.float32), np.ones((3, 3), np.uint8))
    return np.rint(np.clip(wide, 0, 1) * 255).astype(np.uint8)


class _Geometry:
    """What of an avatar in a look is known before it moves."""

    def __init__(self, avatar: Avatar, look: Look | None, looks: Float32Array | None) -> None:
        """avatar: with the look blended in; looks: (G,) which Gaussians are the look."""
        rig, found = avatar.rig, gaussian_classes(avatar, look)
        self._avatar = avatar
        self._bound = len(avatar.surface.triangles)
        self._corners = rig.triangles[avatar.surface.triangles]
        b = avatar.surface.positions[:, :2].clip(0, 1)
        self._inside = np.column_stack([np.maximum(1 - b.sum(1), 0), b]).astype(np.float32)
        classes = found.classes
        visible = avatar.opacities[self._bound :] > _VISIBLE
        self._rigid_normals = _fitted_normals(
            avatar.rigid.means, np.where(visible, classes[self._bound :], -1)
        )
        is_look = (classes == found.look) & (classes != SemanticClass.HAIR)
        none = np.zeros(len(avatar), np.float32)
        self.first = np.column_stack(
            [classes == SemanticClass.HAIR, classes == SemanticClass.CLOTH]
        ).astype(np.float32)
        """(G, 2) 1 for hair, for clothes."""
        self.last = np.column_stack(
            [classes == SemanticClass.BODY, is_look, none if looks is None else looks]
        ).astype(np.float32)
        """(G, 3) 1 for neck and shoulders, for things of the look's class, for all that the look adds or changes."""
        self._group_classes = np.array(
            [SemanticClass.HAIR, SemanticClass.CLOTH, SemanticClass.BODY, found.look], np.uint8
        )
        self._drawn = np.ascontiguousarray(rig.triangles[rig.parts != Part.LID_SHEET])
        self._triangle_classes = triangle_classes(avatar)[rig.parts != Part.LID_SHEET]
        weights = mesh_class_weights(avatar)
        self._weights = np.ascontiguousarray(weights[self._drawn])  # (T, 3, 4)
        self._mixed = (self._triangle_classes == SemanticClass.SKIN) & weights[self._drawn].any(
            (1, 2)
        )

    def normals(self, vertices: Float32Array, gaussians: Gaussians, view: View) -> Float32Array:
        """The Gaussians' normals (G, 3), camera frame, towards the camera. vertices: (V, 3) posed."""
        of_vertices = vertex_normals(vertices, self._avatar.rig.triangles)
        bound = np.einsum("gk,gkc->gc", self._inside, of_vertices[self._corners])
        rigid = self._avatar.rigid
        frame = neck_frame(view.pose, self._avatar.rig.neck_pivot)
        tips = np.empty_like(rigid.means)
        pose_points(
            rigid.means + _NORMAL_STEP * self._rigid_normals, rigid.head_weights, *frame, tips
        )
        resting = np.empty_like(rigid.means)
        pose_points(rigid.means, rigid.head_weights, *frame, resting)
        normals = np.concatenate([bound, tips - resting])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        away = (normals * gaussians.means).sum(1, keepdims=True) > 0
        return np.where(away, -normals, normals).astype(np.float32)

    def semantic(
        self,
        vertices: Float32Array,
        camera: Camera,
        groups: Sequence[Float32Array],  # four of (H, W): weights of hair, clothes, body, the look
        alpha: Float32Array,  # (H, W)
    ) -> UInt8Array:
        """The class of each pixel (H, W)."""
        mesh = rasterise(vertices, self._drawn, camera)
        classes = np.full(alpha.shape, SemanticClass.SKIN, np.uint8)
        rest = alpha - sum(groups)
        for weight, found in zip(groups, self._group_classes, strict=True):
            stronger = weight > rest
            classes[stronger] = found
            rest[stronger] = weight[stronger]
        on_mesh = (alpha - sum(groups) == rest) & mesh.covered & (alpha >= _LEAST_CLASS)
        ids = mesh.triangle_ids[on_mesh]
        below = self._triangle_classes[ids]
        mixed = self._mixed[ids]
        weights = np.einsum(
            "nkc,nk->nc", self._weights[ids[mixed]], mesh.barycentrics[on_mesh][mixed]
        )
        on_skin = below[mixed]
        for column, found in enumerate(SKIN_CLASSES):
            on_skin[weights[:, column] > 0.5] = found
        below[mixed] = on_skin
        classes[on_mesh] = below
        classes[alpha < _LEAST_CLASS] = SemanticClass.BACKGROUND
        # The median of nine values is one of them: single pixels go, no class comes up between two others
        return np.asarray(cv2.medianBlur(classes, 3), np.uint8)

    def landmarks(self, vertices: Float32Array, camera: Camera) -> Float32Array:
        """MediaPipe's landmarks (478, 3): pixels, and metres along the camera's z."""
        bound = self._avatar.landmarks
        places = (vertices[bound.vertex_ids] * bound.barycentrics[:, :, None]).sum(1)
        return np.column_stack([camera.project(places), places[:, 2]]).astype(np.float32)


def _fitted_normals(places: Float32Array, kinds: Int64Array) -> Float32Array:
    """Unit normals (R, 3) of places (R, 3): of the planes through their neighbours of the same kind (R,); of either sign.

    Towards +z for those of a negative kind, and of kinds that have too few.
    """
    normals = np.tile(np.array([0, 0, 1], np.float32), (len(places), 1))
    for kind in np.unique(kinds[kinds >= 0]):
        chosen = places[kinds == kind]
        if len(chosen) < _NEIGHBOURS:
            continue
        around = chosen[KDTree(chosen).query(chosen, _NEIGHBOURS)[1]]
        around -= around.mean(1, keepdims=True)
        _, vectors = np.linalg.eigh(np.einsum("rkc,rkd->rcd", around, around))
        normals[kinds == kind] = vectors[..., 0]
    return normals


def _look_mask(avatar: Avatar, look: Look) -> Float32Array:
    """(G,) 1 for the Gaussians of the blended avatar that are the look: those that came, and those that changed."""
    count, on = len(avatar.surface.triangles), len(look.added.surface.triangles)
    changed = np.zeros(len(avatar), np.float32)
    changed[look.ids] = 1
    came = np.ones(len(look.added), np.float32)
    return np.concatenate([changed[:count], came[:on], changed[count:], came[on:]])
