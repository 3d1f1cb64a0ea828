from __future__ import annotations

import numpy as np

from attribute_toys import toy_attribute
from offline.animation.motion import training_motion
from offline.animation.rig import animate_by_rig
from offline.editing.contract import EditedPortrait, View
from offline.editing.look_pictures import LookRenderer, own_portrait, source_view
from offline.training.contract import TeacherAttribute
from perse_live.head.rig import gaze_from_expression
from toys import toy_avatar


def test_the_rig_s_frames_show_the_look_and_where_it_is() -> None:
    avatar = toy_avatar()
    look = toy_attribute(avatar, "hat", "hat", moved=0)
    view = source_view(avatar, 256)
    teacher = TeacherAttribute(look, known=True)
    portrait = EditedPortrait(
        own_portrait(avatar, view), np.zeros((256, 256), np.float32), view, teacher
    )
    motion = training_motion(avatar, 4)
    frames = animate_by_rig(avatar, portrait, motion, progress=lambda *_: None)
    assert [frame.pose for frame in frames] == [moment.pose for moment in motion]
    plain = LookRenderer(avatar, frames[0].camera)
    for frame in frames:
        bare = plain.picture(View(frame.camera, frame.pose, frame.expression, frame.gaze))
        difference = np.abs(frame.image - bare).max(2)
        assert (difference[frame.part_mask == 0] < 0.13).all(), "outside the mask nothing changes"
        assert frame.part_mask.max() > 0.9 and frame.part_mask.mean() < 0.6
        assert difference[frame.part_mask > 0.9].mean() > 0.05
    assert frames[0].weight > frames[2].weight
    assert {frame.backdrop for frame in frames} == {(0.0, 0.0, 0.0)}, "as they are drawn"


def test_motions_turn_both_ways_and_talk() -> None:
    avatar = toy_avatar()
    motion = training_motion(avatar, 24)
    facing = [moment.pose.R_cam_head[0, 2] for moment in motion[1:]]
    assert min(facing) < -0.3 and max(facing) > 0.3
    assert max(moment.expression[moment.expression.argmax()] for moment in motion) == 1
    assert np.array_equal(motion[0].expression, avatar.source.expression)
    assert len({moment.expression.tobytes() for moment in motion}) >= 8
    assert np.array_equal(motion[2].gaze, gaze_from_expression(motion[2].expression))
    assert len(training_motion(avatar, 0)) == 0
