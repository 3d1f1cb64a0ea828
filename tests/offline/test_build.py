"""The whole build on a real portrait, looked at from where a viewer would look."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from limits import files_of_at_most
from offline.images import dilate, erode
from offline.likeness import likeness, own_view
from offline.pipeline import STAGES
from offline.portrait import find_portrait
from offline.segment.landmark_masks import face_oval
from offline.segment.matte import person_probability
from perse_live import cli
from perse_live.animate import HeadPose, pose_vertices
from perse_live.arrays import BoolArray, Float32Array, UInt8Array
from perse_live.avatar import Avatar, load_avatar, save_avatar
from perse_live.errors import UserError
from perse_live.head.expressions import EXPRESSION_NAMES, expression
from perse_live.head.rig import Part, gaze_from_expression, triangles_of
from perse_live.outputs import free_side_file, written_by_us
from perse_live.photo import load_photo
from perse_live.raster import rasterise
from perse_live.regions import Region
from runtime.stage import Motion, Stage, turned_pose

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stage(astronaut_avatar: Avatar) -> Stage:
    return Stage(astronaut_avatar, astronaut_avatar.source.camera, threads=2)


def _drawn(
    stage: Stage,
    avatar: Avatar,
    *,
    actions: Float32Array | None = None,
    pose: HeadPose | None = None,
) -> UInt8Array:
    """RGBA, premultiplied; of the photo unless told otherwise."""
    source = avatar.source
    gaze = source.gaze if actions is None else gaze_from_expression(actions)
    motion = Motion(
        source.expression if actions is None else actions,
        gaze,
        source.pose if pose is None else pose,
    )
    return stage.draw_rgba(motion).copy()


def _seen_parts(avatar: Avatar, *parts: Part, actions: Float32Array, pose: HeadPose) -> BoolArray:
    """(H, W) where the rig shows one of the parts, nothing else being in the way."""
    vertices = pose_vertices(avatar.rig, actions, gaze_from_expression(actions), pose)
    return rasterise(vertices, triangles_of(avatar.rig, *parts), avatar.source.camera).covered


def _painted(avatar: Avatar, chosen: BoolArray) -> Avatar:
    """The chosen Gaussians (G,) white, all others black."""
    return replace(
        avatar, colors=np.where(chosen[:, None], 1.0, 0.0).astype(np.float32).repeat(3, 1)
    )


def test_from_the_photo_s_view_it_is_the_photo(
    astronaut_photo: Path, astronaut_avatar: Avatar, stage: Stage
) -> None:
    portrait = find_portrait(load_photo(astronaut_photo))
    person = erode(person_probability(portrait.rgb) > 0.9, 3) & erode(portrait.valid, 12)
    drawn = _drawn(stage, astronaut_avatar)[..., :3]
    assert person.mean() > 0.3
    assert peak_signal_noise_ratio(portrait.rgb[person], drawn[person]) > 30


def test_its_likeness_by_the_builder_s_own_measure(
    astronaut_photo: Path, astronaut_avatar: Avatar
) -> None:
    portrait = find_portrait(load_photo(astronaut_photo))
    matte = (person_probability(portrait.rgb) > 0.9).astype(np.float32) * erode(portrait.valid, 3)
    like = likeness(
        own_view(astronaut_avatar),
        portrait.rgb,
        matte,
        face_oval(portrait.detection.landmarks, matte.shape),
    )
    assert like.person > 29
    assert like.face > 31


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll"),
    [
        (0, 0, 0),
        (35, 0, 0),
        (-35, 0, 0),
        (0, 20, 0),
        (0, -20, 0),
        (0, 0, 25),
        (0, 0, -25),
        (35, 20, 0),
        (-35, -20, 0),
        (35, -20, 0),
        (-35, 20, 0),
    ],
)
def test_there_are_no_holes_from_any_side(
    astronaut_avatar: Avatar, stage: Stage, yaw: float, pitch: float, roll: float
) -> None:
    pose = turned_pose(astronaut_avatar, yaw, pitch, roll)
    alpha = _drawn(stage, astronaut_avatar, pose=pose)[..., 3] / 255
    head = _seen_parts(
        astronaut_avatar, Part.SKIN, actions=astronaut_avatar.source.expression, pose=pose
    )
    inner = erode(head, 6)
    assert inner.mean() > 0.1
    assert alpha[inner].mean() > 0.98
    assert (alpha[inner] < 0.5).mean() < 0.003


@pytest.mark.parametrize("name", EXPRESSION_NAMES)
def test_every_action_shows_and_tears_nothing(
    astronaut_avatar: Avatar, stage: Stage, name: str
) -> None:
    rest = _drawn(stage, astronaut_avatar, actions=expression())
    actions = expression(**{name: 1.0})
    acting = _drawn(stage, astronaut_avatar, actions=actions)
    changed = np.abs(acting[..., :3].astype(int) - rest[..., :3]).max(2) > 12
    assert changed.sum() > 30
    face = erode(
        _seen_parts(
            astronaut_avatar, Part.SKIN, actions=actions, pose=astronaut_avatar.source.pose
        ),
        6,
    )
    assert (acting[..., 3][face] > 200).mean() > 0.997


def test_closed_lids_leave_nothing_of_the_eyes_to_see(astronaut_avatar: Avatar) -> None:
    surface = astronaut_avatar.surface
    eyes = np.zeros(len(astronaut_avatar), np.bool_)
    eyes[: len(surface.triangles)] = np.isin(
        astronaut_avatar.rig.parts[surface.triangles], (Part.EYE_LEFT, Part.EYE_RIGHT)
    )
    painted = _painted(astronaut_avatar, eyes)
    stage = Stage(painted, painted.source.camera, threads=2)
    wide, closed = (
        _drawn(stage, painted, actions=expression(eyeBlinkLeft=blink, eyeBlinkRight=blink))[..., 0]
        / 255
        for blink in (0, 1)
    )
    assert wide.sum() > 200
    assert closed.sum() < 0.08 * wide.sum()
    assert (closed > 0.5).sum() == 0


@pytest.mark.parametrize(
    ("region", "actions"),
    [
        (Region.TEETH, expression(jawOpen=0.25, mouthSmileLeft=0.7, mouthSmileRight=0.7)),
        (Region.TONGUE, expression(jawOpen=1.0)),
    ],
)
def test_a_grin_shows_teeth_and_an_open_jaw_the_tongue_in_colour(
    astronaut_avatar: Avatar, stage: Stage, region: Region, actions: Float32Array
) -> None:
    drawn = _drawn(stage, astronaut_avatar, actions=actions)
    painted = _painted(astronaut_avatar, astronaut_avatar.regions == region)
    painted_stage = Stage(painted, painted.source.camera, threads=2)
    inside = _drawn(painted_stage, painted, actions=actions)[..., 0] > 127
    assert inside.sum() > 100
    assert (drawn[..., 3][inside] > 240).mean() > 0.99
    colour = drawn[..., :3][inside].mean(0)
    assert colour.mean() > 30  # no black hole
    assert colour[0] > 1.1 * colour[2]  # flesh and warm enamel, not grey plastic


@pytest.mark.parametrize("yaw", [-25, 25])
def test_an_open_mouth_shows_its_inside_from_the_side_too(
    astronaut_avatar: Avatar, yaw: float
) -> None:
    actions, pose = expression(jawOpen=0.7), turned_pose(astronaut_avatar, yaw, 0, 0)
    rig = astronaut_avatar.rig
    outside = (Part.SKIN, Part.BODY)
    inside = (Part.TEETH_UPPER, Part.TEETH_LOWER, Part.TONGUE, Part.MOUTH_CAVITY)
    vertices = pose_vertices(rig, actions, gaze_from_expression(actions), pose)
    rows = np.nonzero(np.isin(rig.parts, outside + inside))[0]
    seen = rasterise(
        vertices, np.ascontiguousarray(rig.triangles[rows]), astronaut_avatar.source.camera
    )
    mouth = erode(
        seen.covered & np.isin(rig.parts[rows[np.maximum(seen.triangle_ids, 0)]], inside), 2
    )
    assert mouth.sum() > 100
    of_mouth = np.isin(
        astronaut_avatar.regions, (Region.TEETH, Region.TONGUE, Region.MOUTH, Region.LIPS)
    )
    painted = _painted(astronaut_avatar, of_mouth)
    drawn = _drawn(
        Stage(painted, painted.source.camera, threads=2), painted, actions=actions, pose=pose
    )[..., 0]
    assert (drawn[mouth] < 128).mean() < 0.06


@pytest.mark.parametrize("yaw", [-25, 25])
def test_nothing_shines_through_the_cheeks(astronaut_avatar: Avatar, yaw: float) -> None:
    actions, pose = (
        expression(jawOpen=0.5, mouthSmileLeft=0.5, mouthSmileRight=0.5),
        turned_pose(astronaut_avatar, yaw, 0, 0),
    )
    camera = astronaut_avatar.source.camera.resized(1024, 1024)
    rig = astronaut_avatar.rig
    place = np.abs(rig.vertices[rig.triangles].mean(1) - np.array([0.0, -0.045, 0.0]))
    cheeks = (rig.parts == Part.SKIN) & (place[:, 1] < 0.025) & (np.abs(place[:, 0] - 0.045) < 0.01)
    rows = np.nonzero(np.isin(rig.parts, (Part.SKIN, Part.BODY)))[0]
    seen = rasterise(
        pose_vertices(rig, actions, gaze_from_expression(actions), pose),
        np.ascontiguousarray(rig.triangles[rows]),
        camera,
    )
    cheek = erode(seen.covered & cheeks[rows[np.maximum(seen.triangle_ids, 0)]], 3)
    assert cheek.sum() > 1000
    painted = _painted(
        astronaut_avatar, np.isin(astronaut_avatar.regions, (Region.SKIN, Region.LIPS))
    )
    motion = Motion(actions, gaze_from_expression(actions), pose)
    drawn = Stage(painted, camera, threads=2).draw_rgba(motion)[..., 0]
    assert (drawn[cheek] < 200).mean() < 0.002


def test_lash_lines_go_down_with_the_lids(astronaut_avatar: Avatar) -> None:
    lashes = astronaut_avatar.regions == Region.LASHES
    assert 100 < lashes.sum() < 2500
    assert lashes[len(astronaut_avatar.surface.triangles) :].sum() == 0  # all on the rig
    painted = _painted(astronaut_avatar, lashes)
    stage = Stage(painted, painted.source.camera, threads=2)

    def upper_edge(blink: float) -> float:
        drawn = _drawn(stage, painted, actions=expression(eyeBlinkLeft=blink, eyeBlinkRight=blink))[
            ..., 0
        ]
        rows = np.nonzero((drawn > 100).any(1))[0]
        return float(rows.min())

    assert upper_edge(1.0) > upper_edge(0.0) + 2


@pytest.mark.parametrize(
    ("actions", "sense"),
    [(("eyeLookOutLeft", "eyeLookInRight"), 1), (("eyeLookInLeft", "eyeLookOutRight"), -1)],
)
def test_gaze_turns_the_irises(
    astronaut_avatar: Avatar, stage: Stage, actions: tuple[str, str], sense: int
) -> None:
    def iris_column(strengths: Float32Array) -> float:
        drawn = _drawn(stage, astronaut_avatar, actions=strengths)
        eyes = _seen_parts(
            astronaut_avatar,
            Part.EYE_LEFT,
            Part.EYE_RIGHT,
            actions=strengths,
            pose=astronaut_avatar.source.pose,
        )
        darkness = np.clip(110 - drawn[..., :3].mean(2), 0, None) * erode(eyes, 2)
        return float((darkness * np.arange(512)).sum() / darkness.sum())

    moved = iris_column(expression(**dict.fromkeys(actions, 1.0))) - iris_column(expression())
    assert moved * sense > 1.0


def test_shoulders_stay_while_the_head_turns(astronaut_avatar: Avatar, stage: Stage) -> None:
    rest, turned = (
        _drawn(stage, astronaut_avatar, pose=turned_pose(astronaut_avatar, yaw, 0, 0))
        for yaw in (0, 30)
    )
    clothes = _painted(
        astronaut_avatar,
        (astronaut_avatar.regions == Region.CLOTHES) | (astronaut_avatar.regions == Region.BODY),
    )
    bust = _drawn(Stage(clothes, clothes.source.camera, threads=2), clothes)[..., 0] > 200
    rigid = astronaut_avatar.rigid
    cloth = astronaut_avatar.regions[-len(rigid.means) :] == Region.CLOTHES
    low_cloth = cloth & (rigid.means[:, 1] < -0.02)
    assert low_cloth.sum() > 1000
    assert not rigid.head_weights[low_cloth].any(), "a collar would be stretched"
    low = bust & (np.arange(512)[:, None] > 440)
    assert low.sum() > 5000
    assert np.abs(rest.astype(int) - turned)[low].mean() < 6
    assert np.abs(rest.astype(int) - turned)[~dilate(bust, 5)].mean() > 6


def test_the_file_is_small_and_holds_all_of_it(astronaut_avatar: Avatar, tmp_path: Path) -> None:
    save_avatar(tmp_path / "me.perse", astronaut_avatar)
    assert (tmp_path / "me.perse").stat().st_size < 15 << 20
    assert len(astronaut_avatar) <= 45_000
    again = load_avatar(tmp_path / "me.perse")
    np.testing.assert_array_equal(again.colors, astronaut_avatar.colors)
    smile = expression(jawOpen=0.4, mouthSmileLeft=0.7)
    pictures = [
        _drawn(Stage(avatar, avatar.source.camera, threads=2), avatar, actions=smile)
        for avatar in (astronaut_avatar, again)
    ]
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() < 0.1


def test_where_it_comes_from_is_written_down(
    astronaut_avatar: Avatar, astronaut_photo: Path
) -> None:
    made = astronaut_avatar.provenance
    assert made.photo_sha256 == load_photo(astronaut_photo).sha256
    assert made.consent_by == "the tests"
    assert made.creator.startswith("perse-live ")
    assert any("Anny" in licence for licence in made.licences)
    assert made.warnings == ()
    assert made.person_psnr is not None and made.person_psnr > 28
    assert made.face_psnr is not None and made.face_psnr > 31


def test_a_full_disk_leaves_nothing(astronaut_avatar: Avatar, tmp_path: Path) -> None:
    with files_of_at_most(1 << 20), pytest.raises(UserError, match=r"me\.perse"):
        save_avatar(tmp_path / "me.perse", astronaut_avatar)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "me.perse").write_bytes(b"an earlier avatar")
    with files_of_at_most(1 << 20), pytest.raises(UserError):
        save_avatar(tmp_path / "me.perse", astronaut_avatar)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"an earlier avatar"]


def test_control_c_in_mid_build_leaves_nothing(
    astronaut_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def impatient_user(_usual: object) -> Generator[object]:
        def tell(step: str, share: float) -> None:
            if step == "refining" and share > 0.02:
                raise KeyboardInterrupt  # no signal: a shell lets background jobs ignore that

        yield tell

    monkeypatch.setattr("perse_live.cli.progress_report.step_progress", impatient_user)
    assert (
        cli.main(["build", str(astronaut_photo), "-o", str(tmp_path / "me.perse"), "--consent"])
        == 1
    )
    assert list(tmp_path.iterdir()) == []


def test_the_command_builds_the_same_avatar_with_a_sheet_and_a_picture_of_each_stage(
    astronaut_avatar: Avatar,
    astronaut_photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photo = tmp_path / "me.png"
    content = astronaut_photo.read_bytes()
    photo.write_bytes(content)
    command = [
        "build",
        str(photo),
        "-o",
        str(tmp_path / "me.perse"),
        "--consent",
        "--attributes",
        "none",
        "--steps",
        str(tmp_path / "steps"),
    ]
    assert cli.main(command) == 0
    save_avatar(tmp_path / "first.perse", astronaut_avatar)
    first, again = (load_avatar(tmp_path / name) for name in ("first.perse", "me.perse"))
    same = replace(
        again,
        provenance=replace(
            again.provenance,
            consent_by=first.provenance.consent_by,
            consent_at=first.provenance.consent_at,
        ),
    )
    save_avatar(tmp_path / "again.perse", same)
    assert (tmp_path / "first.perse").read_bytes() == (tmp_path / "again.perse").read_bytes()

    assert photo.read_bytes() == content
    assert {path.name for path in tmp_path.iterdir()} == {
        "me.perse",
        "me.png",
        "me.sheet.png",
        "steps",
        "first.perse",
        "again.perse",
    }
    assert written_by_us(tmp_path / "me.sheet.png")
    assert free_side_file(photo, inputs=[photo]) == tmp_path / "me.sheet.png", (
        "the next build's sheet has the same name"
    )

    told = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line in {stage.name for stage in STAGES}
    ]
    assert told == [stage.name for stage in STAGES]
    pictures = sorted((tmp_path / "steps").iterdir())
    assert [picture.name for picture in pictures] == [
        f"{k + 1:02d}-{stage.key.replace('_', '-')}.png" for k, stage in enumerate(STAGES)
    ]
    for picture in pictures:
        assert np.asarray(Image.open(picture)).std() > 20, picture  # something is drawn
