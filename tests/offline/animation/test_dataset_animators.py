"""Data sets drawn by LivePortrait and by a video pipeline, with small networks of their inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stand_ins import write_networks

from attribute_toys import toy_attribute
from faces import plain_person
from offline.animation.contract import Moment
from offline.animation.guide_maps import GuideMaps
from offline.animation.guide_renderer import GuideRenderer
from offline.animation.liveportrait import LivePortrait, animate_by_liveportrait
from offline.animation.motion import training_motion
from offline.animation.video_pipeline import VideoConfig, open_video_pipeline
from offline.dataset.drawing import DatasetPlan, draw_by_animator, draw_by_video
from offline.dataset.layout import LookEntry, LookSource
from offline.dataset.reading import read_dataset, read_grey, read_maps
from offline.dataset.transforms import read_transforms
from offline.editing.contract import EditedPortrait
from offline.editing.donor import Progress
from offline.editing.look_pictures import own_portrait, source_view
from offline.rig.photo_geometry import PhotoGeometry
from offline.training.contract import TeacherAttribute, TrainingFrame
from perse_live import cli
from perse_live.arrays import Int64Array, UInt8Array
from perse_live.avatar import Avatar, save_avatar
from tiny_video_pipeline import write_tiny_animatediff
from toys import toy_avatar

SIDE, FRAMES = 64, 6
ENTRY = LookEntry("hat", "Hat", "hat", "hat", "rig", LookSource("built-in"))


@pytest.fixture
def plan(tmp_path: Path) -> DatasetPlan:
    avatar = toy_avatar(gaussians=600)
    return DatasetPlan(tmp_path, avatar, training_motion(avatar, FRAMES), 4, SIDE, 1)


@pytest.fixture
def edited(plan: DatasetPlan) -> EditedPortrait:
    view = source_view(plan.avatar, SIDE)
    look = toy_attribute(plan.avatar, "hat", "hat", moved=0)
    return EditedPortrait(
        own_portrait(plan.avatar, view),
        np.zeros((SIDE, SIDE), np.float32),
        view,
        TeacherAttribute(look, known=True),
    )


def nothing(_: float) -> None:
    pass


def wholly(
    plan: DatasetPlan,
    edited: EditedPortrait,
    check: Callable[[Int64Array, GuideMaps, UInt8Array], None],
) -> None:
    """Every frame is there, its maps are the rig's, and its picture is as `check` says."""
    frames = read_transforms(plan.root / ENTRY.name, plan.root, ENTRY).frames
    assert [frame.split for frame in frames] == ["train"] * 4 + ["test"] * 2
    renderer = GuideRenderer(plan.avatar, plan.camera, edited.teacher.look)
    for frame in frames:
        found, wanted = read_maps(frame), renderer.maps(plan.view(frame.index))
        np.testing.assert_array_equal(found.semantic, wanted.semantic)
        np.testing.assert_allclose(found.depth, wanted.depth, atol=1e-4)
        assert frame.files.part is not None
        check(found.rgb.astype(np.int64), wanted, read_grey(frame.files.part))


@pytest.mark.slow
def test_liveportrait_s_frames_lie_on_the_background_and_go_on(
    plan: DatasetPlan, edited: EditedPortrait, tmp_path: Path
) -> None:
    write_networks(tmp_path)
    networks, calls = LivePortrait(tmp_path), list[int]()

    def animator(
        avatar: Avatar, edited: EditedPortrait, motion: Sequence[Moment], *, progress: Progress
    ) -> list[TrainingFrame]:
        calls.append(len(motion))
        return animate_by_liveportrait(avatar, edited, motion, networks, progress=progress)

    entry = replace(ENTRY, animator="liveportrait")
    draw_by_animator(plan, entry, edited, animator, chunk=4, progress=nothing)
    assert calls == [4, 2]

    def on_white(rgb: Int64Array, wanted: GuideMaps, part: UInt8Array) -> None:
        assert (rgb[wanted.alpha == 0] > 235).all() and part.max() > 100

    wholly(plan, edited, on_white)
    (plan.root / "hat" / "rgb" / "00005.jpg").unlink()
    draw_by_animator(plan, entry, edited, animator, chunk=4, progress=nothing)
    assert calls == [4, 2, 2], "only what is missing is animated"


@pytest.mark.slow
def test_a_video_pipeline_draws_the_part_and_the_rig_all_else(
    plan: DatasetPlan, edited: EditedPortrait, tmp_path: Path
) -> None:
    write_tiny_animatediff(tmp_path / "model")
    config = VideoConfig(size=64, steps=2, window=5, overlap=2)
    pipeline = open_video_pipeline(str(tmp_path / "model"))
    draw_by_video(
        plan, replace(ENTRY, animator="video"), edited, pipeline, config, progress=nothing
    )

    def part_only(rgb: Int64Array, wanted: GuideMaps, part: UInt8Array) -> None:
        off = np.abs(rgb - wanted.rgb).max(2)
        assert part.max() > 200 and np.median(off[part == 0]) < 6
        assert off[part > 200].mean() > 10

    wholly(plan, edited, part_only)


@pytest.mark.slow
def test_the_command_draws_by_a_video_model_and_refuses_others_before_it_draws(
    mean_head: PhotoGeometry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    me, root, model = tmp_path / "me.perse", tmp_path / "set", tmp_path / "model"
    save_avatar(me, plain_person(mean_head))
    write_tiny_animatediff(model)
    words = ["dataset", str(me), "-o", str(root), "--attributes", "glasses-black", "--offline"]
    words += ["--frames", "6", "--size", "64", "--video-size", "64", "--steps", "2", "--video"]
    assert cli.main([*words, str(tmp_path / "model-still")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "takes no control frames" in error and "mask_image" in error, error
    assert not (root / "manifest.json").exists()
    assert cli.main([*words, str(model)]) == 0
    source, glasses = read_dataset(root).looks
    assert glasses.entry is not None and glasses.entry.animator == "video"
    for plain, frame in zip(source.frames, glasses.frames, strict=True):
        assert frame.files.part is not None
        part = read_grey(frame.files.part)
        off = np.abs(read_maps(frame).rgb.astype(int) - read_maps(plain).rgb).max(2)
        assert off[part > 200].mean() > 10 and np.median(off[part == 0]) < 6
