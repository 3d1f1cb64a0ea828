"""Fit of a hat: its opening around the head, and the surface over skull and compressed hair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.looks.measured_head import HeadShape, centers_of
from offline.numeric import normalized
from perse_live.arrays import FloatArray

_AZIMUTHS, _ELEVATIONS = 48, 14  # of the table of hair's thickness
_SMOOTHING = np.radians(16)
_LEAST_PAD, _MOST_PAD = 0.005, 0.026  # metres of compressed hair
_PRESSED = 0.6  # fraction of the hair's thickness that is left under a hat


@dataclass(frozen=True, eq=False)
class HatForm:
    """The frame of a hat on one head, and the extent of skull and hair in it."""

    shape: HeadShape
    origin: FloatArray
    """(3,) middle of the hat's opening."""
    axes: FloatArray
    """(3, 3) rows: to the picture's right, up through the crown, forwards."""
    pad: FloatArray
    """(elevations, azimuths) metres between skull and hat."""

    def direction(self, azimuth: FloatArray, elevation: FloatArray) -> FloatArray:
        """Unit vectors (N, 3); azimuth 0 is forwards, positive to the picture's right; elevation 0 is the opening; radians."""
        local = np.stack(
            [
                np.sin(azimuth) * np.cos(elevation),
                np.sin(elevation),
                np.cos(azimuth) * np.cos(elevation),
            ],
            1,
        )
        return local @ self.axes

    def reach(self, azimuth: FloatArray, elevation: FloatArray) -> FloatArray:
        """(N,) metres from the origin to the outside of the compressed hair."""
        column = np.mod(azimuth, 2 * np.pi) / (2 * np.pi) * _AZIMUTHS
        row = np.clip(elevation / (np.pi / 2), 0, 1) * (_ELEVATIONS - 1)
        i, j = (
            np.minimum(row.astype(np.int64), _ELEVATIONS - 2),
            column.astype(np.int64) % _AZIMUTHS,
        )
        s, t = row - i, column - np.floor(column)
        k = (j + 1) % _AZIMUTHS
        lower = (1 - t) * self.pad[i, j] + t * self.pad[i, k]
        upper = (1 - t) * self.pad[i + 1, j] + t * self.pad[i + 1, k]
        return (
            self.shape.skull.reach(self.origin, self.direction(azimuth, elevation))
            + (1 - s) * lower
            + s * upper
        )

    @property
    def size(self) -> float:
        """Size of the opening relative to an average hat; details are scaled by it."""
        around = np.arange(24) * 2 * np.pi / 24
        return float(self.reach(around, np.zeros(24)).mean()) / 0.092

    def points(
        self, azimuth: FloatArray, elevation: FloatArray, extra: FloatArray | float = 0.0
    ) -> FloatArray:
        """(N, 3) on the outside of the compressed hair, `extra` metres farther out."""
        return self.origin + (self.reach(azimuth, elevation) + extra)[:, None] * self.direction(
            azimuth, elevation
        )

    def local(self, points: FloatArray) -> FloatArray:
        """Points (N, 3) in the hat's axes: right, up, forwards."""
        return (points - self.origin) @ self.axes.T

    def polar(self, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Azimuth, elevation and distance (N,) of points (N, 3)."""
        x, y, z = self.local(points).T
        return np.arctan2(x, z), np.arctan2(y, np.hypot(x, z)), np.sqrt(x * x + y * y + z * z)


def hat_form(shape: HeadShape, *, front: float, back: float) -> HatForm:
    """A hat whose opening crosses the forehead and the back of the head at these heights.

    front: [0, 1] from the brows to where the forehead ends; back: metres, head frame.
    """
    brow = float(shape.landmarks[[105, 334], 1].mean())
    high = brow + front * (float(shape.landmarks[10, 1]) - brow)
    skin = shape.vertices[
        shape.skin & (shape.charts.ears < 0.05) & (np.abs(shape.vertices[:, 0]) < 0.02)
    ]
    ahead = np.array([0.0, high, float(shape.face_depth(np.array([[0.0, high]]))[0])])
    behind = np.array([0.0, back, float(skin[np.abs(skin[:, 1] - back) < 0.02, 2].min())])
    forwards = normalized((ahead - behind)[None])[0]
    axes = np.stack([np.array([1.0, 0, 0]), np.array([0, forwards[2], -forwards[1]]), forwards])
    form = HatForm(shape, (ahead + behind) / 2, axes, np.full((_ELEVATIONS, _AZIMUTHS), _LEAST_PAD))
    return HatForm(shape, form.origin, axes, _pads(form))


def _pads(form: HatForm) -> FloatArray:
    """Thickness of the compressed hair in each direction: a fraction of the person's hair, smoothed."""
    avatar = form.shape.avatar
    chosen = form.shape.hair & (avatar.opacities > 0.3)
    azimuth, elevation, distance = form.polar(centers_of(avatar)[chosen])
    over = elevation > -0.15
    azimuth, elevation, distance = azimuth[over], elevation[over], distance[over]
    own = form.direction(azimuth, elevation)
    thick = np.clip(distance - form.shape.skull.reach(form.origin, own), 0, 0.06)
    a, e = np.meshgrid(
        np.arange(_AZIMUTHS) * 2 * np.pi / _AZIMUTHS, np.linspace(0, np.pi / 2, _ELEVATIONS)
    )
    cells = form.direction(a.reshape(-1), e.reshape(-1))
    near = np.exp((cells @ own.T - 1) / _SMOOTHING**2)
    total = near.sum(1) + 3.0
    mean = near @ thick / total
    spread = np.sqrt(np.maximum(near @ thick**2 / total - mean**2, 0))
    pad = np.clip(_PRESSED * (mean + 0.7 * spread), _LEAST_PAD, _MOST_PAD).reshape(
        _ELEVATIONS, _AZIMUTHS
    )
    return 0.5 * (pad + np.roll(pad[:, ::-1], 1, 1))  # hats are symmetric


def surface_normals(
    points: FloatArray, across: FloatArray, along: FloatArray, outwards: FloatArray
) -> FloatArray:
    """Of a surface (N, 3) from points a little further in two directions; on the side of `outwards` (N, 3)."""
    normal = normalized(np.cross(across - points, along - points))
    return np.where((normal * outwards).sum(1, keepdims=True) < 0, -normal, normal)
