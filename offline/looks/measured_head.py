"""Measurements of a person's head for fitting objects to it: charts, landmarks, extent of skin and hair, light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from offline.numeric import normalized
from offline.rig.anatomy import HeadCharts, head_charts
from offline.rig.anny_head import load_anny_head
from offline.rig.identity import load_identity_model
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.landmarks import load_landmark_model
from perse_live.head.rig import Part, vertices_of
from perse_live.raster import rasterise_projected, vertex_normals
from perse_live.regions import Region

LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601."""
_TYPICAL_LUMA = 0.6  # of skin in a well-lit photo
_TYPICAL_SKIN = np.array([0.72, 0.57, 0.49])
# Light from above and in front, where the photo gives no estimate
_STUDIO = np.array([0.06, 0.22, 0.12])
_DARK_BROWN = np.array([0.17, 0.12, 0.09])
# Metres on the mean head: brow ridge; the nape and its front
_SKULL_LOWEST, _NAPE_LOWEST, _NAPE = (0.004, -0.055, -0.06)
_HAIR = (Region.HAIR, Region.HAIR_BACK)
_MAP_SIDE, _MAP_METRES = 384, 0.24  # of depth maps of the head


@dataclass(frozen=True, eq=False)
class Skull:
    """The cranium as a convex body about a centre."""

    center: FloatArray
    """(3,) metres."""
    planes: FloatArray
    """(F, 4) outward unit normals and offsets; a point p is inside where normal . p + offset <= 0, relative to the centre."""

    def reach(self, origin: FloatArray, directions: FloatArray) -> FloatArray:
        """Distance (N,) in metres from an inner point (3,) to the surface along unit directions (N, 3)."""
        slope = directions @ self.planes[:, :3].T
        room = -self.planes[:, 3] - self.planes[:, :3] @ (origin - self.center)
        return np.where(slope > 1e-6, room / np.maximum(slope, 1e-6), np.inf).min(1)


@dataclass(frozen=True, eq=False)
class Light:
    """Shading of an object in the photo's light: ambient light and one directional light."""

    tint: FloatArray
    """(3,) colour of a white surface where `shade` is 1."""
    ambient: float
    lamp: FloatArray
    """(3,) direction times strength: its dot product with a unit normal is the brightness added."""

    def on(self, normals: FloatArray) -> FloatArray:
        """Brightness (N, 3) of a white surface with normals (N, 3)."""
        return self.shade(normals) * self.tint

    def shade(self, normals: FloatArray) -> FloatArray:
        """Relative brightness (N, 1) for colours that come from the photo, which contain the light's tint."""
        return np.clip(self.ambient + normals @ self.lamp, 0.25, 1.35)[:, None]


@dataclass(frozen=True, eq=False)
class HeadShape:
    """One person's head at rest; metres, head frame."""

    avatar: Avatar
    vertices: Float32Array
    """(V, 3)."""
    normals: Float32Array
    """(V, 3) unit; of the skin."""
    template: Float32Array
    """(V, 3) the mean head, the same for everybody."""
    charts: HeadCharts
    landmarks: Float32Array
    """(478, 3)."""
    landmarks_template: Float32Array
    """(478, 3) on the mean head."""
    skin_rows: Int32Array
    """(T',) rows of the rig's triangles that are skin."""
    skull: Skull
    hair_color: FloatArray
    """(3,) dark middle tone of the person's hair or brows."""
    light: Light

    @property
    def skin_triangles(self) -> Int32Array:
        """(T', 3)."""
        return self.avatar.rig.triangles[self.skin_rows]

    def face_depth(self, places: FloatArray) -> FloatArray:
        """Depth map of the face: (N,) largest z in metres at points (N, 2) x and y, -1 outside of the head."""
        return _farthest(self.vertices[:, :2], self.vertices[:, 2], self.skin_triangles, places)

    def side_reach(self, places: FloatArray, side: float) -> FloatArray:
        """Side extent of the head without ears: (N,) metres at points (N, 2) z and y, -1 outside of the head.

        side: +1 or -1.
        """
        bare = (self.charts.ears[self.skin_triangles] < 0.05).all(1)
        return _farthest(
            self.vertices[:, [2, 1]] + np.array([0.07, 0.0], np.float32),
            self.vertices[:, 0] * side,
            self.skin_triangles[bare],
            places + np.array([0.07, 0.0]),
        )

    @property
    def skin(self) -> BoolArray:
        """(V,) vertices of the skin."""
        return vertices_of(self.avatar.rig, Part.SKIN)

    @property
    def hair(self) -> BoolArray:
        """(G,) the avatar's Gaussians of hair."""
        return np.isin(self.avatar.regions, _HAIR)


def head_shape(avatar: Avatar) -> HeadShape:
    """Measure an avatar's head (0.1 s)."""
    rig = avatar.rig
    model, mean = load_landmark_model(), load_identity_model().mean
    charts = head_charts(load_anny_head(), mean, model)
    skin_rows = np.nonzero(rig.parts == Part.SKIN)[0].astype(np.int32)
    normals = vertex_normals(rig.vertices, rig.triangles[skin_rows])
    lowest = np.where(mean[:, 2] < _NAPE, _NAPE_LOWEST, _SKULL_LOWEST)
    cranium = vertices_of(rig, Part.SKIN) & (charts.ears < 0.02) & (mean[:, 1] > lowest)
    return HeadShape(
        avatar=avatar,
        vertices=rig.vertices,
        normals=normals,
        template=mean,
        charts=charts,
        landmarks=neutral_landmarks(avatar),
        landmarks_template=model.neutral,
        skin_rows=skin_rows,
        skull=_skull(rig.vertices[cranium]),
        hair_color=_hair_color(avatar, charts),
        light=_light(avatar, charts, normals),
    )


def centers_of(avatar: Avatar) -> FloatArray:
    """Means of all Gaussians of an avatar at rest: (G, 3) metres, head frame."""
    surface = avatar.surface
    corners = avatar.rig.vertices[avatar.rig.triangles[surface.triangles]].astype(np.float64)
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    b1, b2, lift = surface.positions.T[:, :, None]
    on_rig = corners[:, 0] + b1 * e1 + b2 * e2 + lift * normalized(np.cross(e1, e2))
    return np.concatenate([on_rig, avatar.rigid.means])


def own_tones(shape: HeadShape, count: int, rng: np.random.Generator) -> FloatArray:
    """Colours (count, 3) sampled from the person's hair on top and in front; synthesised where there is too little."""
    avatar = shape.avatar
    places = centers_of(avatar)
    top = (places[:, 1] > 0.03) & (places[:, 2] > -0.1)
    own = np.nonzero((avatar.regions == Region.HAIR) & (avatar.opacities > 0.6) & top)[0]
    if len(own) < 200:
        return np.clip(shape.hair_color * (1 + 0.2 * rng.standard_normal((count, 1))), 0.02, 0.9)
    colors = avatar.colors[own].astype(np.float64)
    luma = colors @ LUMA
    low, high = np.percentile(luma, [15, 85])
    middle = colors[(luma >= low) & (luma <= high)]
    return middle[rng.integers(0, len(middle), count)]


def _farthest(
    places: FloatArray, heights: FloatArray, triangles: Int32Array, wanted: FloatArray
) -> FloatArray:
    """The greatest height of a mesh, whose vertices are at `places` (V, 2) with `heights` (V,), at each place wanted (N, 2)."""
    scale = _MAP_SIDE / _MAP_METRES
    seen = rasterise_projected(
        (places * scale + _MAP_SIDE / 2).astype(np.float32),
        (1 - heights).astype(np.float32),
        triangles,
        _MAP_SIDE,
        _MAP_SIDE,
    )
    column, row = np.clip((wanted * scale + _MAP_SIDE / 2).astype(np.int64), 0, _MAP_SIDE - 1).T
    return np.where(seen.covered[row, column], 1 - seen.depth[row, column], -1.0)


def _skull(points: FloatArray) -> Skull:
    low, high = points.min(0), points.max(0)
    center = np.array([0.0, 0.7 * low[1] + 0.3 * high[1], (low[2] + high[2]) / 2])
    return Skull(center, np.unique(ConvexHull(points - center).equations.round(6), axis=0))


def _hair_color(avatar: Avatar, charts: HeadCharts) -> FloatArray:
    """Colour (3,) of the brows where dark enough, mixed with the hair's; dark brown where neither is usable."""
    hair = np.isin(avatar.regions, _HAIR) & (avatar.opacities > 0.3)
    seen = [np.percentile(avatar.colors[hair], 40, axis=0)] if hair.sum() > 200 else []
    corners = avatar.rig.triangles[avatar.surface.triangles]
    brow = np.nonzero(
        (charts.brows[corners].mean(1) > 0.6) & (avatar.regions[: len(corners)] == Region.SKIN)
    )[0]
    if len(brow) > 20:
        colors = avatar.colors[brow]
        dark = colors[np.argsort(colors @ LUMA)[: len(brow) // 4]].mean(0)
        skin = np.median(avatar.colors[avatar.regions == Region.SKIN], 0)
        if dark @ LUMA < 0.6 * (skin @ LUMA):
            seen.append(dark)
    color = np.clip(np.mean(seen, 0), 0.03, 0.75) if seen else _DARK_BROWN
    # Hair is never greener than red, nor bluer than green: that is the photo's light
    return np.minimum.accumulate(color)


def _light(avatar: Avatar, charts: HeadCharts, normals: FloatArray) -> Light:
    """Least-squares fit of the skin's brightness to its normals, averaged with a standard studio light."""
    corners = avatar.rig.triangles[avatar.surface.triangles]
    face = (charts.face[corners].mean(1) > 0.9) & (avatar.regions[: len(corners)] == Region.SKIN)
    if face.sum() < 100:
        return Light(np.ones(3), 0.75, _STUDIO)
    colors = avatar.colors[: len(corners)][face]
    n = normalized(normals[corners[face]].mean(1))
    luma = colors @ LUMA
    middle = float(np.median(luma))
    near = np.abs(luma - middle) < 0.3
    system = np.concatenate([np.ones((int(near.sum()), 1)), n[near]], 1)
    penalty = np.diag([0.0, *[0.05 * len(system)] * 3])
    fitted = np.linalg.solve(
        system.T @ system + penalty, system.T @ (luma[near] / max(middle, 0.05))
    )
    lamp = 0.5 * np.clip(fitted[1:], -0.5, 0.5) + 0.5 * _STUDIO
    skin = np.median(colors, 0)
    brightness = np.clip((middle / _TYPICAL_LUMA) ** 0.7, 0.6, 1.15)
    cast = skin / _TYPICAL_SKIN
    cast = np.clip(cast / (cast @ LUMA), 0.5, 1.4) ** 0.6
    # What faces the camera is about as bright as the face
    return Light(brightness * cast, 0.92 - lamp[2], lamp)
