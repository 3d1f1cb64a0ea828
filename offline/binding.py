"""Tying the Gaussians to the rig: to its triangles, or to the field of skinning weights of skull, neck and shoulders."""

from __future__ import annotations

import numpy as np

from offline.gaussian_layer import Layer
from offline.lift.hair import hair_weights
from offline.rig.photo_geometry import PhotoGeometry
from offline.rig.skinning import head_weights
from offline.rig.template_regions import HEAD_SIDE, neck_radius
from perse_live.animate import RigidBinding, bind_surface
from perse_live.avatar import Avatar, LandmarkBinding, Provenance, Source
from perse_live.head.fit import PhotoFit
from perse_live.head.rig import HeadRig, Part
from perse_live.regions import Region
from perse_live.rotations import multiply, to_quat

_BESIDE_NECK = 0.13  # metres from the neck's axis, from which skin is that of the shoulders


def bind_to_rig(
    layer: Layer,
    geometry: PhotoGeometry,
    rig: HeadRig,
    landmarks: LandmarkBinding,
    fit: PhotoFit,
    provenance: Provenance,
) -> Avatar:
    """Tie every Gaussian to a triangle of the rig or to the skull-neck-shoulders field, and pack the avatar."""
    on_rig = layer.triangles >= 0
    surface_part, rigid_part = layer.select(on_rig), layer.select(~on_rig)
    part_of = rig.parts[surface_part.triangles]
    place = geometry.template[rig.triangles[surface_part.triangles]].mean(1)
    # ears and the sides of the head are bent to the photo's outline and may fold; a cheek's back would be seen through the mouth
    bent = (part_of == Part.SKIN) & HEAD_SIDE.contains(place)
    two_sided = np.isin(part_of, (Part.TEETH_UPPER, Part.TEETH_LOWER, Part.BODY)) | bent
    surface = bind_surface(
        surface_part.gaussians,
        surface_part.triangles,
        geometry.vertices,
        rig.triangles,
        two_sided=two_sided.astype(np.uint8),
    )
    frame, both = fit.frame, (surface_part.gaussians, rigid_part.gaussians)
    source = Source(
        geometry.camera,
        frame.R_cam_head.astype(np.float32),
        frame.t_cam_head.astype(np.float32),
        frame.expression.astype(np.float32),
        frame.gaze.astype(np.float32),
    )
    return Avatar(
        rig,
        surface,
        _rigid_binding(rigid_part, geometry),
        np.concatenate([p.opacities for p in both]),
        np.concatenate([p.colors for p in both]),
        np.concatenate([surface_part.regions, rigid_part.regions]),
        landmarks,
        source,
        provenance,
    )


def _rigid_binding(layer: Layer, geometry: PhotoGeometry) -> RigidBinding:
    """Gaussians in the head frame, and how far each follows the head: teeth fully, the neck in part, clothes not at all."""
    g = layer.gaussians
    means = geometry.to_head(g.means.astype(np.float64))
    turn = to_quat(geometry.R_cam_head.T.astype(np.float64))
    quats = multiply(
        np.broadcast_to(turn, g.quats.shape),
        g.quats / np.linalg.norm(g.quats, axis=1, keepdims=True),
    )
    # Clothes stay with the shoulders: the neck would stretch a collar until gaps show between its Gaussians. So does skin far
    # from the neck, but an ear's edge moves with the head.
    stays = (layer.regions == Region.CLOTHES) | (
        (layer.regions == Region.SKIN) & (neck_radius(means) > _BESIDE_NECK)
    )
    stays &= means[:, 1] < -0.02
    hair = np.isin(layer.regions, (Region.HAIR, Region.HAIR_BACK))
    weights = np.where(
        hair, hair_weights(means), np.where(stays, np.float32(0), head_weights(means))
    )
    weights = np.where(layer.regions == Region.ACCESSORY, np.float32(1), weights)
    return RigidBinding(means.astype(np.float32), quats.astype(np.float32), g.scales, weights)
