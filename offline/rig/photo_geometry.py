"""The fitted head as the photo's camera sees it: depths, hidden sides, and where the photo's pixels lie in space."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from offline.images import nearest_true
from offline.numeric import normalized
from offline.rig.template_regions import NECK_AXIS_DEPTH, PROFILE
from offline.sampling import SurfacePoints
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.camera import Camera
from perse_live.head.rig import HeadRig, Part, surface_triangles
from perse_live.raster import RasterResult, rasterise, vertex_normals

OUTSIDE_PARTS = (Part.SKIN, Part.BODY, Part.EYE_LEFT, Part.EYE_RIGHT)
"""What can be seen of a head whose mouth is closed."""

_HEAD_CENTER = np.array([0.0, -0.03, -0.08])  # metres, head frame


@dataclass(frozen=True)
class PhotoGeometry:
    """The rig in the photo's pose and expression, in the camera frame."""

    camera: Camera
    rig: HeadRig
    """Personal, neutral, head frame."""
    R_cam_head: FloatArray
    """(3, 3)."""
    t_cam_head: FloatArray
    """(3,) metres."""
    vertices: Float32Array
    """(V, 3) metres, camera frame, with the photo's expression and gaze."""
    normals: Float32Array
    """(V, 3) unit, camera frame."""
    template: Float32Array
    """(V, 3) metres: the mean head's vertices, on which regions are described the same for everybody."""
    seen: RasterResult
    """Of `triangles`."""
    triangles: Int32Array
    """(T', 3) the outside parts."""
    triangle_rows: Int32Array
    """(T',) their rows in the rig's list."""
    head_depth: Float32Array
    """(H, W) metres to the nearest skin, infinite where there is none."""
    head_back: Float32Array
    """(H, W) metres to the farthest skin, -infinite where there is none."""

    def template_map(self) -> Float32Array:
        """(H, W, 3) template position seen by each pixel, NaN where none is."""
        return attribute_map(self, self.template)

    def part_map(self, *parts: Part) -> BoolArray:
        """(H, W) where one of the parts is seen."""
        kind = self.rig.parts[self.triangle_rows]
        return self.seen.covered & np.isin(kind[np.maximum(self.seen.triangle_ids, 0)], parts)

    def head_center(self) -> FloatArray:
        """(3,) metres, camera frame: the middle of the skull, about which views of a turned head are made."""
        return self.R_cam_head @ _HEAD_CENTER + self.t_cam_head

    def neck_axis(self, height: float) -> FloatArray:
        """(3,) metres, camera frame: where the axis of the neck is at a height of the head frame."""
        return self.R_cam_head @ np.array([0.0, height, NECK_AXIS_DEPTH]) + self.t_cam_head

    def to_head(self, points: FloatArray) -> FloatArray:
        """Camera frame to head frame. points: (..., 3) metres."""
        return (points - self.t_cam_head) @ self.R_cam_head

    def on_rig(self, points: SurfacePoints) -> tuple[Float32Array, FloatArray]:
        """Places (N, 3) and unit normals (N, 3) of points on the rig, camera frame."""
        triangles = self.rig.triangles
        return points.interpolate(self.vertices, triangles), normalized(
            points.interpolate(self.normals, triangles)
        )

    def on_template(self, points: SurfacePoints) -> Float32Array:
        """Places (N, 3) of points of the rig on the mean head."""
        return points.interpolate(self.template, self.rig.triangles)

    def triangle_template(self) -> FloatArray:
        """(T, 3) middles of the rig's triangles on the mean head."""
        return self.template[self.rig.triangles].mean(1)

    @property
    def yaw(self) -> float:
        """Degrees by which the head is turned away from the camera; 0 faces it."""
        return yaw_of(self.R_cam_head)

    @property
    def pixels_per_metre(self) -> float:
        """At the depth of the head's middle."""
        return self.camera.fx / float(self.t_cam_head[2])


def yaw_of(R_cam_head: FloatArray) -> float:
    """Degrees by which a head is turned away from the camera; 0 faces it. R_cam_head: (3, 3)."""
    x, _, z = R_cam_head[:, 2]
    return float(np.degrees(np.arctan2(x, -z)))


def before_face(geometry: PhotoGeometry) -> BoolArray:
    """(H, W) pixels off the rig whose nearest point on it is the front of the face: nose, mouth, chin, cheeks."""
    skin = geometry.part_map(Part.SKIN)
    if not skin.any():
        return np.zeros_like(skin)
    _, rows, columns = nearest_true(skin)
    place = geometry.template_map()[rows, columns]
    # Single points of the outline would cast rays
    ahead = cv2.medianBlur(PROFILE.contains(place).astype(np.uint8), 15) > 0
    return ahead & ~geometry.seen.covered


def attribute_map(geometry: PhotoGeometry, values: Float32Array) -> Float32Array:
    """A per-vertex quantity (V, C) as a picture (H, W, C), NaN where the rig is not seen."""
    seen = geometry.seen
    out = np.full((*seen.triangle_ids.shape, values.shape[1]), np.nan, np.float32)
    where = seen.covered
    corners = geometry.triangles[seen.triangle_ids[where]]
    out[where] = (values[corners] * seen.barycentrics[where][..., None]).sum(1)
    return out


def photo_geometry(
    camera: Camera,
    rig: HeadRig,
    vertices_head: Float32Array,  # (V, 3) metres, head frame: the rig deformed by the photo's expression
    R_cam_head: FloatArray,  # (3, 3)
    t_cam_head: FloatArray,  # (3,) metres
    template: Float32Array,  # (V, 3) the mean head's vertices
) -> PhotoGeometry:
    """Put a rig before the photo's camera and look at it."""
    vertices = (vertices_head @ R_cam_head.T + t_cam_head).astype(np.float32)
    normals = vertex_normals(vertices, surface_triangles(rig))
    rows = np.nonzero(np.isin(rig.parts, OUTSIDE_PARTS))[0].astype(np.int32)
    triangles = np.ascontiguousarray(rig.triangles[rows])
    skin = np.ascontiguousarray(rig.triangles[rig.parts == Part.SKIN])
    head = rasterise(vertices, skin, camera)
    # moved along their rays to the inverse depth, what is farthest is nearest
    inside_out = rasterise(vertices / vertices[:, 2:] ** 2, skin, camera)
    back = np.where(inside_out.covered, 1 / inside_out.depth, -np.inf).astype(np.float32)
    return PhotoGeometry(
        camera,
        rig,
        R_cam_head,
        t_cam_head,
        vertices,
        normals,
        template,
        rasterise(vertices, triangles, camera),
        triangles,
        rows,
        head.depth,
        back,
    )
