from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from attribute_toys import toy_attribute
from perse_live.correctives import Component, ramp, sparse
from perse_live.rotations import from_euler_degrees
from runtime.expression_sheet import expression_sheet
from runtime.sheet import contact_sheet
from runtime.stage import facing_pose, turned_pose
from runtime.tiles import GAP, HEADING, MARGIN, TITLE, row_height
from toys import toy_avatar


def test_a_sheet_shows_the_avatar_many_times() -> None:
    sheet = contact_sheet(toy_avatar())
    height, width, channels = sheet.shape
    assert channels == 3 and sheet.dtype == np.uint8
    assert 1500 < width < 2400 and 1500 < height < 2400
    assert (sheet[:8] == 255).all()  # the margin
    tiles = (sheet != 255).any(2)
    # Rows of tiles, with captions between them; the first two share the photo's large tile
    rows = tiles.mean(1) > 0.5
    assert int((rows[1:] & ~rows[:-1]).sum()) >= 4
    # The photo's view, and an expression
    for tile in (sheet[200:700, 60:600], sheet[-400:-150, 60:300]):
        assert tile.std((0, 1)).max() > 5


@pytest.mark.slow
def test_attributes_are_shown_below() -> None:
    toy = toy_avatar()
    attributes = tuple(toy_attribute(toy, f"hat-{k}", "hat", seed=k, changed=600) for k in range(7))
    plain, blended = (
        contact_sheet(toy),
        contact_sheet(dataclasses.replace(toy, attributes=attributes)),
    )
    height = len(plain) - MARGIN
    np.testing.assert_array_equal(blended[TITLE:height], plain[TITLE:height])
    assert len(blended) - len(plain) == HEADING + 2 * row_height(300)
    first, second = (
        blended[height + HEADING : height + HEADING + 300, left : left + 300]
        for left in (MARGIN, MARGIN + 300 + GAP)
    )
    assert first.std() > 5 and (first != second).any()


@pytest.mark.slow
def test_the_sheet_of_expressions_shows_what_correctives_do() -> None:
    toy = toy_avatar(gaussians=1200)
    deltas = np.zeros((1, len(toy), 3), np.float32)
    deltas[..., 0] = 1
    red = sparse([Component("jaw", (ramp("jawOpen", 0.4, 1.0),))], deltas, deltas[..., 1])
    plain, corrected = (
        expression_sheet(one) for one in (toy, dataclasses.replace(toy, correctives=red))
    )
    assert plain.shape == corrected.shape and plain.shape[1] > 2000
    below = slice(TITLE + HEADING + MARGIN, None)
    changed = (plain[below] != corrected[below]).any(2)
    rows = [part.any() for part in np.array_split(changed, 30)]
    assert 2 <= sum(rows) <= 8  # those of jawOpen, alone and with others
    assert not changed[:100].any()  # shut eyes


def test_turns_start_from_the_photo_or_from_the_front_and_keep_the_neck() -> None:
    avatar = toy_avatar()
    tilted = (avatar.source.R_cam_head @ from_euler_degrees(10, 5, 8)).astype(np.float32)
    avatar = dataclasses.replace(
        avatar, source=dataclasses.replace(avatar.source, R_cam_head=tilted)
    )
    source, pivot = avatar.source, avatar.rig.neck_pivot
    neck = source.R_cam_head @ pivot + source.t_cam_head
    for pose in (
        turned_pose(avatar, 20, -10, 5),
        facing_pose(avatar, yaw=20, pitch=-10, roll=5),
        facing_pose(avatar),
    ):
        np.testing.assert_allclose(pose.R_cam_head @ pivot + pose.t_cam_head, neck, atol=1e-6)
        np.testing.assert_array_equal(pose.R_cam_body, source.R_cam_head)
    np.testing.assert_allclose(turned_pose(avatar, 0, 0, 0).R_cam_head, tilted, atol=1e-6)
    np.testing.assert_allclose(facing_pose(avatar).R_cam_head, np.diag([1, -1, -1]), atol=1e-6)
    right = turned_pose(avatar, 20, 0, 0).R_cam_head @ np.array([0, 0, 1.0])
    assert right[0] > (tilted @ np.array([0, 0, 1.0]))[0]  # to the picture's right
