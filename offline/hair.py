"""Hair: Gaussians over the inflated shell, drawn out along the strands that the photo shows."""

from __future__ import annotations

import cv2
import numpy as np

from offline.geometry import PhotoGeometry
from offline.grid import GridMesh, GridPoints, grid_mesh, scatter, turned_over
from offline.images import blur, dilate, distance_to, fill_from, sample
from offline.layers import COVERAGE, Layer, empty_layer, join, surface_layer
from offline.numeric import facing_of
from offline.shells import HairShell
from offline.skin import Appearance
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.regions import Region

_SHARES = (0.60, 0.17, 0.23)  # of the hair's Gaussians: in front, as its lining, at the back
_FINEST = (2.1, 4.6, 3.6)  # pixels between them at least
_MOST = 15000  # Gaussians
_PACKING = 0.64  # points that `scatter` gives per area, times their squared spacing
_RIM = 4.0  # pixels (eye distance 115) over which hair fades into the face
_LEAST_CONTRAST = 0.02  # squared distance of hair and skin in colour below which they are not told apart
_STRAND = 1.5  # how much longer than wide a Gaussian is, as the square root of the ratio


def hair_share(look: Appearance, hair: BoolArray, unit: float) -> Float32Array:
    """How far each pixel shows hair, (H, W) in [0, 1]: wholly on `hair` (H, W), in part where its rim mixes with the face.

    A mixed pixel lies between the colours of hair and skin beside it; how far from the one to the other is its share. unit:
    pixels, eye distance / 115.
    """
    pure = (look.skin > 0.6) & (look.purity > 0.9) & (look.alpha > 0.95)
    if not pure.any():
        return hair.astype(np.float32)
    skin = fill_from(look.image, pure)
    contrast = look.hair_color - skin
    share = ((look.image - skin) * contrast).sum(2) / np.maximum((contrast**2).sum(2), _LEAST_CONTRAST)
    rim = dilate(hair & (look.alpha > 0.9), _RIM * unit) & ~hair & (look.skin + look.hair > 0.5) & (look.alpha > 0.9)
    near = np.clip(1 - distance_to(hair) / (_RIM * unit), 0, 1) ** 0.5
    return np.where(hair, 1, np.where(rim, np.clip(share, 0, 1) * near, 0)).astype(np.float32)


def hair_layers(geometry: PhotoGeometry, look: Appearance, shell: HairShell, share: Float32Array, unit: float, budget: int,
                rng: np.random.Generator) -> Layer:
    """Front, inner lining and back of the hair.

    share: (H, W) as of `hair_share`; unit: pixels, eye distance / 115; budget: about how many Gaussians there may be.
    """
    flow = strand_direction(look.image, 3 * unit)
    pixel, camera = 1 / geometry.pixels_per_metre, geometry.camera
    thick = (distance_to(look.alpha < 0.9) > 4 * unit) & (shell.back - shell.front > 0.02)
    meshes = (grid_mesh(camera, shell.front, shell.front_mask & (look.alpha > 0.06)),
              grid_mesh(camera, shell.front + np.float32(0.007), shell.front_mask & thick),
              turned_over(grid_mesh(camera, shell.back, shell.back_mask & (distance_to(~shell.back_mask) > 4.0 * unit))))
    front, lining, back = (scatter(mesh, _spacing(mesh, int(portion * min(budget, _MOST)), finest * pixel), rng=rng)
                           for mesh, portion, finest in zip(meshes, _SHARES, _FINEST, strict=True))
    return join(_front_layer(look, share, front, flow, pixel), _inner_layer(look, lining, 0.78, rng, Region.HAIR),
                _inner_layer(look, back, 0.9, rng, Region.HAIR_BACK))


def strand_direction(image: Float32Array, sigma: float) -> Float32Array:
    """Main direction of fine lines (H, W, 2), unit, x right and y down, from the structure tensor (Bigun & Granlund 1987).

    Where nothing is drawn out, the direction tends to straight down.
    """
    luminance = blur(image @ np.array([0.299, 0.587, 0.114], np.float32), 0.8)
    gx, gy = (np.asarray(cv2.Sobel(luminance, cv2.CV_32F, *order), np.float32) for order in ((1, 0), (0, 1)))
    xx, yy, xy = blur(gx * gx, sigma), blur(gy * gy, sigma), blur(gx * gy, sigma)
    prior = 0.15 * float(np.median(xx + yy)) + 1e-6
    angle = 0.5 * np.arctan2(2 * xy, xx - yy + prior) + np.pi / 2  # across the gradient; the prior is a gradient along x
    direction = np.stack([np.cos(angle), np.sin(angle)], -1)
    return np.where(direction[..., 1:] < 0, -direction, direction).astype(np.float32)


def _spacing(mesh: GridMesh, count: int, finest: float) -> float:
    """Metres between points so that about `count` of them cover the mesh, but no less than `finest`."""
    corners = mesh.vertices[mesh.triangles]
    area = float(np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2)
    return max(finest, float(np.sqrt(_PACKING * area / max(count, 1))))


def _along(flow: Float32Array, points: GridPoints) -> FloatArray:
    """The direction (N, 3) in the surface that the camera sees along the flow."""
    direction, normals = sample(flow, points.pixels), points.normals
    steep = np.where(np.abs(normals[:, 2]) < 0.2, 0.2 * np.sign(normals[:, 2] - 1e-6), normals[:, 2])
    depth = -(direction * normals[:, :2]).sum(1) / steep
    return np.concatenate([direction, depth[:, None]], 1)


def _front_layer(look: Appearance, share: Float32Array, points: GridPoints, flow: Float32Array, pixel: float) -> Layer:
    """Hair as the photo shows it. share: (H, W) of hair in a pixel; flow: (H, W, 2) direction of the strands; pixel: metres."""
    facing = facing_of(points.means, points.normals)
    clear = np.clip((facing - 0.1) / 0.35, 0, 1)[:, None]
    # what the photo sees at a glancing angle would be smeared over the side: there, strands of the hair's own colour instead
    smeared = sample(blur(look.image, 2.0, sigma_y=4.0), points.pixels)
    strands = 0.5 * smeared + 0.5 * sample(look.hair_color, points.pixels)
    colors = clear * sample(look.image, points.pixels) + (1 - clear) * strands
    of_hair = sample(share, points.pixels)
    colors = np.where((of_hair < 0.99)[:, None], sample(look.hair_color, points.pixels), colors)
    alpha = sample(look.alpha, points.pixels) * of_hair
    sigma = points.spacing[:, None] * COVERAGE * np.array([_STRAND, 1 / _STRAND * 1.15])
    to_edge = sample(distance_to(look.alpha < 0.5), points.pixels)[:, None]
    sigma = np.minimum(sigma, 0.5 * points.spacing[:, None] + 0.3 * to_edge * pixel)
    return surface_layer(points.means, points.normals, sigma, colors, Region.HAIR, along=_along(flow, points), thickness=0.8,
                         opacity=np.clip(alpha * 0.95, 0.03, 0.95), freedom=np.clip((facing - 0.1) / 0.4, 0.3, 1),
                         color_freedom=clear[:, 0], least_opacity=np.where(alpha > 0.97, 0.6, 0.02))


def _inner_layer(look: Appearance, points: GridPoints, shade: float, rng: np.random.Generator, region: Region) -> Layer:
    """Hair that the photo does not show: its colour with strands of light and dark. shade: brightness over the photo's."""
    if not len(points):
        return empty_layer()
    noise = blur(rng.standard_normal(look.alpha.shape), 1.6, sigma_y=14)
    strands = sample(noise / noise.std(), points.pixels)[:, None]
    typical = np.median(look.image[(look.hair > 0.7) & (look.alpha > 0.95)], 0)
    colors = (0.35 * sample(look.hair_color, points.pixels) + 0.65 * typical) * (shade + 0.15 * strands)
    sigma = points.spacing[:, None] * COVERAGE * np.array([_STRAND, 1 / _STRAND * 1.25])
    down = np.tile(np.array([[0.0, 1.0, 0.0]]), (len(points), 1))
    return surface_layer(points.means, points.normals, sigma, colors, region, along=down, thickness=0.8, opacity=0.95,
                         freedom=0.0, color_freedom=0.0, least_opacity=0.9)
