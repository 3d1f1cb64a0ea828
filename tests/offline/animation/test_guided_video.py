"""The video animator end to end, with real pipelines of random weights."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_guide_pictures import maps

from attribute_toys import toy_attribute
from offline.animation.guided_video import (
    GuidedFrame,
    VideoAnimator,
    guided_film,
    part_share,
    prompted,
    rig_frames,
)
from offline.animation.motion import training_motion
from offline.animation.video_pipeline import (
    GuidePictures,
    VideoConfig,
    VideoPipeline,
    open_video_pipeline,
)
from offline.editing.contract import EditedPortrait
from offline.editing.diffusion import load_pipeline
from offline.editing.look_pictures import source_view
from offline.training.contract import TeacherAttribute
from perse_live.arrays import Float32Array
from perse_live.avatar import Avatar
from perse_live.errors import UserError
from tiny_pipeline import write_tiny_pipeline
from tiny_video_pipeline import write_tiny_animatediff, write_tiny_wan_vace
from toys import toy_avatar

pytestmark = pytest.mark.slow
SIDE = 64
CONFIG = VideoConfig(size=SIDE, steps=2, window=5, overlap=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "animatediff"
    write_tiny_animatediff(path)
    return path


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> VideoPipeline:
    return open_video_pipeline(str(folder))


def guides_of(number: int) -> GuidePictures:
    """A bar that moves."""
    picture = np.full((SIDE, SIDE, 3), 20, np.uint8)
    picture[20:40, 3 * number : 3 * number + 10] = 200
    return {"depth": picture, "normals": 255 - picture}


PERSON = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8)


def film(pipeline: VideoPipeline, frames: int, **changes: object) -> Float32Array:
    reference = changes.pop("reference", PERSON)
    config = replace(CONFIG, **changes)  # pyright: ignore[reportArgumentType]
    return np.stack(list(pipeline.film(reference, frames, guides_of, config)))  # pyright: ignore[reportArgumentType]


def test_seed_person_words_and_guides_decide_the_film(pipeline: VideoPipeline) -> None:
    assert pipeline.guides == ("depth", "normals")
    first = film(pipeline, 5)
    assert first.shape == (5, SIDE, SIDE, 3) and first.min() >= 0 and first.max() <= 1
    assert np.array_equal(first, film(pipeline, 5))
    for change in (
        {"seed": 1},
        {"prompt": "a hat"},
        {"reference": 255 - PERSON},
        {"control": 0.0},
    ):
        assert np.abs(first - film(pipeline, 5, **change)).mean() > 1e-3, change


def test_windows_join_without_a_seam(pipeline: VideoPipeline) -> None:
    """Frames 3 and 4 are shared: the first of them is nearly what the first window has, the second nearly the other's."""
    alone = film(pipeline, 5)  # the first window
    told: list[float] = []
    joined = np.stack(list(pipeline.film(PERSON, 8, guides_of, CONFIG, told.append)))
    assert told == [0.25, 0.5, 0.75, 1.0], "two windows of two steps each"
    assert joined.shape == (8, SIDE, SIDE, 3)
    assert np.abs(joined[:3] - alone[:3]).max() < 1e-6
    first, second = (np.abs(joined[k] - alone[k]).mean() for k in (3, 4))
    assert 0 < first < second, "the first window fades out"


def test_other_pipelines_are_refused_with_what_they_take(tmp_path: Path, folder: Path) -> None:
    write_tiny_pipeline(tmp_path / "still")
    loaded = load_pipeline(
        str(tmp_path / "still"), purpose="this test", loader_for=lambda _: "DiffusionPipeline"
    )
    with pytest.raises(UserError, match="takes no control frames") as caught:
        VideoPipeline(loaded)
    text = str(caught.value)
    assert "\n" not in text and "StableDiffusionInpaintPipeline" in text and "mask_image" in text
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "ip_adapter" / "tiny.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="IP-Adapter cannot be loaded"):
        open_video_pipeline(str(copy))
    shutil.rmtree(copy / "ip_adapter")
    with pytest.raises(UserError, match=r"no IP-Adapter.*into ip_adapter there"):
        open_video_pipeline(str(copy))
    for name in ("controlnet", "controlnet_1"):
        config = copy / name / "config.json"
        config.write_text(config.read_text().replace("somebody/control_", "somebody/net-"))
        config.write_text(config.read_text().replace("normal", "unknown"))
    with pytest.raises(UserError, match=r"do not say what they take \(somebody/net-unknown\)"):
        open_video_pipeline(str(copy))
    with pytest.raises(UserError, match="1 guides are named"):
        open_video_pipeline(str(copy), guides=["depth"])


def test_a_pipeline_whose_latents_are_of_several_frames(tmp_path: Path) -> None:
    write_tiny_wan_vace(tmp_path / "wan")
    pipeline = open_video_pipeline(str(tmp_path / "wan"))
    assert pipeline.guides == ("depth",) and pipeline.layout.frames_per_latent == 4
    made = film(pipeline, 11, window=9, overlap=4)
    assert made.shape == (11, SIDE, SIDE, 3) and np.isfinite(made).all()
    assert np.abs(made[:5] - film(pipeline, 9, window=9)[:5]).max() < 1e-5
    assert np.abs(made - film(pipeline, 11, window=9, overlap=4, seed=5)).mean() > 1e-3


def edited(avatar: Avatar) -> EditedPortrait:
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[10:30, 10:50] = 1
    look = toy_attribute(avatar, "hat", "hat")
    return EditedPortrait(
        PERSON, mask, source_view(avatar, SIDE), TeacherAttribute(look, known=True)
    )


def rig_frame(number: int) -> GuidedFrame:
    part = np.zeros((SIDE, SIDE), np.float32)
    part[10:30, 10 + number : 40 + number] = 1
    return GuidedFrame(
        replace(maps(SIDE), rgb=np.full((SIDE, SIDE, 3), 50 + number, np.uint8)), part
    )


def test_a_film_shows_the_part_and_the_rig_around_it(pipeline: VideoPipeline) -> None:
    portrait = edited(toy_avatar())
    config = prompted(portrait, CONFIG)
    assert "hat" in config.prompt
    frames = list(guided_film(pipeline, portrait, 7, rig_frame, config))
    assert len(frames) == 7
    for number, frame in enumerate(frames):
        share = part_share(rig_frame(number).part)
        assert (frame[share == 0] == 50 + number).all()
        assert np.abs(frame[share > 0.9].astype(int) - 50 - number).mean() > 10


def test_the_animator_s_frames_know_their_pose(pipeline: VideoPipeline) -> None:
    avatar = toy_avatar()
    motion = training_motion(avatar, 6)
    seen: list[float] = []
    frames = VideoAnimator(pipeline, CONFIG)(
        avatar, edited(avatar), motion, progress=lambda _, share: seen.append(share)
    )
    draw = rig_frames(avatar, edited(avatar))
    for frame, moment in zip(frames, motion, strict=True):
        rig = draw(moment)
        outside = frame.part_mask == 0
        assert outside.any() and rig.part.max() == 1
        np.testing.assert_allclose(frame.image[outside], rig.maps.rgb[outside] / 255, atol=1e-6)
    assert [frame.pose for frame in frames] == [moment.pose for moment in motion]
    assert all(0 < frame.weight < 1 and frame.camera.width == SIDE for frame in frames)
    assert seen[-1] == 1.0
