"""Points with tracks are bound to what moves them, and keep their places."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attribute_toys import toy_attribute
from data_set_toys import write_data_set
from offline.animation.motion import training_motion
from offline.dataset.drawing import DatasetPlan
from offline.dataset.reading import read_dataset
from offline.dataset.tracks import PointTracks, read_tracks, tracks_of, write_tracks
from offline.training.dataset_learning import learn_from_dataset, looks_to_learn
from offline.training.tracked_points import tracked_points
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.decoder.features import places_at_rest
from perse_live.errors import UserError
from toys import toy_avatar


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return toy_avatar(gaussians=600)


def tracked(avatar: Avatar, look: Attribute) -> tuple[PointTracks, DatasetPlan]:
    plan = DatasetPlan(Path(), avatar, training_motion(avatar, 40), 30, 64, 1)
    found = tracks_of(avatar, look, plan.frames(look.name, shared=False))
    assert found is not None
    return found, plan


def test_points_on_the_face_follow_what_moves_them(avatar: Avatar) -> None:
    """Judged in frames of the test split, which no track tells of; bound to the nearest triangle they would be elsewhere."""
    look = toy_attribute(avatar, "beard-toy", "beard", moved=0, free=0)
    far = look.added.surface.positions.copy()
    far[:, 2] += 0.03  # many triangles are as near
    surface = replace(look.added.surface, positions=far)
    look = replace(look, added=replace(look.added, surface=surface, surface_start=far))
    tracks, plan = tracked(avatar, look)
    frames = plan.frames(look.name, shared=False)
    points = tracked_points(avatar, "beard", tracks, [frames[k] for k in tracks.timesteps], [])
    assert not len(points.rigid.means)
    np.testing.assert_allclose(
        places_at_rest(avatar.rig, points.surface, points.rigid), tracks.positions, atol=1e-5
    )
    tests = [replace(frame, split="train") for frame in frames[30:]]
    goal = tracks_of(avatar, look, tests)
    nearest = tracked_points(avatar, "beard", replace(tracks, tracks=tracks.tracks[:0]), [], [])
    off: list[float] = []
    for one in (points, nearest):
        added = replace(look.added, surface=one.surface, surface_start=one.surface.positions.copy())
        again = tracks_of(avatar, replace(look, added=added), tests)
        assert goal is not None and again is not None
        off.append(float(np.linalg.norm(again.tracks - goal.tracks, axis=2).mean()))
    assert off[0] < 0.2 * off[1]


@pytest.mark.slow
def test_learnt_gaussians_stay_on_their_tracks(avatar: Avatar, tmp_path: Path) -> None:
    beard = toy_attribute(avatar, "beard-toy", "beard", moved=0, free=0)
    write_data_set(tmp_path, avatar, beard, tracked=True)
    dataset = read_dataset(tmp_path)
    (look,) = looks_to_learn(dataset)
    assert look.tracks is not None
    learnt = learn_from_dataset(avatar, dataset, [look], progress=lambda *_: None)
    (found,) = learnt.attributes
    assert len(found.added) == len(beard.added), "none is unprojected"
    goal, there = (
        tracks_of(replace(avatar, decoder=learnt.decoder), one, look.frames)
        for one in (beard, found)
    )
    assert goal is not None and there is not None
    assert np.linalg.norm(there.tracks - goal.tracks, axis=2).max() < 0.002


def test_tracks_of_test_frames_are_not_learnt_from(avatar: Avatar, tmp_path: Path) -> None:
    beard = toy_attribute(avatar, "beard-toy", "beard", moved=0, free=0)
    write_data_set(tmp_path, avatar, beard, tracked=True)
    dataset = read_dataset(tmp_path)
    (look,) = looks_to_learn(dataset)
    assert look.tracks is not None
    tracks = read_tracks(look.tracks)
    steps = tracks.timesteps.copy()
    steps[-1] = look.split("test")[0].index
    write_tracks(look.tracks.parent, replace(tracks, timesteps=steps))
    with pytest.raises(UserError, match="is not in the train split"):
        learn_from_dataset(avatar, dataset, [look], progress=lambda *_: None)
