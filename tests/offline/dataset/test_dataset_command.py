"""`perse-live dataset`: made, broken off, gone on with, shown; and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attribute_toys import toy_decoder, toy_learned
from offline.dataset import drawing
from offline.dataset.categories import CATEGORIES, category_of, keeps_outline
from offline.dataset.drawing import shares_geometry
from offline.dataset.layout import DatasetFrame
from offline.dataset.motion import built_in_motion, grimaces, read_moments, write_moments
from offline.dataset.reading import read_dataset, read_maps, read_training_frame
from offline.looks.registry import TITLES
from perse_live import cli
from perse_live.attributes import SLOTS
from perse_live.avatar import save_avatar
from perse_live.cli.dataset_looks import DEFAULT_LOOKS
from perse_live.errors import UserError
from perse_live.rotations import to_axis_angle
from toys import toy_avatar

FRAMES, SIZE = 5, 64


@pytest.fixture
def avatar_file(tmp_path: Path) -> Path:
    avatar = replace(toy_avatar(gaussians=600), decoder=toy_decoder())
    looks = (toy_learned(avatar, "toy-hat", "hat"), toy_learned(avatar, "toy-beard", "beard"))
    save_avatar(tmp_path / "toy.perse", replace(avatar, attributes=looks))
    return tmp_path / "toy.perse"


def make(avatar_file: Path, root: Path, *looks: str, frames: int = FRAMES) -> int:
    words = ["dataset", str(avatar_file), "-o", str(root), "--attributes", *looks]
    return cli.main([*words, "--frames", str(frames), "--size", str(SIZE)])


def test_a_data_set_holds_every_look_over_the_same_motion(avatar_file: Path) -> None:
    root = avatar_file.parent / "set"
    assert make(avatar_file, root, "toy-hat") == 0
    found = read_dataset(root)
    assert found.manifest is not None and found.manifest.train_frames == 4
    assert [look.name for look in found.looks] == ["source", "toy-hat"]
    source, hat = found.looks
    assert hat.entry is not None and hat.entry.category == "hat" and hat.entry.animator == "rig"
    assert [frame.split for frame in hat.frames] == ["train"] * 4 + ["test"]
    for plain, frame in zip(source.frames, hat.frames, strict=True):
        np.testing.assert_array_equal(plain.pose.R_cam_head, frame.pose.R_cam_head)
        np.testing.assert_array_equal(plain.expression, frame.expression)
        maps, learnt = read_maps(frame), read_training_frame(frame)
        assert maps.rgb.shape == (SIZE, SIZE, 3) and (maps.depth > 0).any()
        assert plain.files.part is None and learnt.part_mask.max() > 0.5
        outside = learnt.part_mask == 0
        off = np.abs(learnt.image - read_training_frame(plain).image).max(2)
        assert np.median(off[outside]) < 0.02, "outside the part the person is as they are"


@pytest.mark.slow
def test_one_that_broke_off_goes_on(
    avatar_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, whole = avatar_file.parent / "set", avatar_file.parent / "whole"
    assert make(avatar_file, whole, "toy-hat") == 0
    written: list[DatasetFrame] = []
    write = drawing.write_frame

    def full_after_four(frame: DatasetFrame, *rest: object) -> None:
        if len(written) >= 4:
            raise UserError(f"cannot write {frame.files.rgb}: the disk is full: free some space")
        written.append(frame)
        write(frame, *rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(drawing, "write_frame", full_after_four)
    assert make(avatar_file, root, "toy-hat") == 2
    assert "the disk is full" in capsys.readouterr().err
    with pytest.raises(UserError, match="not finished"):
        read_dataset(root)
    kept = {frame.files.rgb: frame.files.rgb.stat().st_mtime_ns for frame in written}
    monkeypatch.setattr(drawing, "write_frame", write)
    assert make(avatar_file, root, "toy-hat") == 0
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items()), "drawn once"
    names = sorted(path.relative_to(whole) for path in whole.rglob("*.*"))
    assert sorted(path.relative_to(root) for path in root.rglob("*.*")) == names
    for name in names:
        if name.suffix in (".jpg", ".png", ".npy"):
            assert (root / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.slow
def test_deleted_frames_are_named_and_drawn_again_and_looks_are_added(
    avatar_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = avatar_file.parent / "set"
    assert make(avatar_file, root, "toy-hat") == 0
    names = "toy-hat/rgb/00002.jpg", "toy-hat/tracks.npz"
    gone = {root / name: (root / name).read_bytes() for name in names}
    for path in gone:
        path.unlink()
    assert make(avatar_file, root, "toy-hat", "toy-beard") == 0
    assert f"{names[0]}, {names[1]}; they are drawn again" in capsys.readouterr().err
    for path, content in gone.items():
        assert path.read_bytes() == content
    assert [look.name for look in read_dataset(root).looks] == ["source", "toy-hat", "toy-beard"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--frames", "7"], "was begun with 5 frames a look: give the same options"),
        (["--size", "128"], "was begun with pictures of 64 pixels"),
        (["--seed", "3"], "was begun with another motion"),
    ],
)
def test_another_motion_does_not_go_into_the_same_folder(
    avatar_file: Path, words: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = avatar_file.parent / "set"
    assert make(avatar_file, root, "toy-hat") == 0
    before = (root / "manifest.json").read_bytes()
    given = {"--frames": str(FRAMES), "--size": str(SIZE), words[0]: words[1]}
    options = [word for pair in given.items() for word in pair]
    assert cli.main(["dataset", str(avatar_file), "-o", str(root), *options]) == 2
    assert what in capsys.readouterr().err
    assert (root / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["{}/nowhere.jpg", "-o", "{}/set"], "nowhere.jpg: no such file"),
        (["{}/toy.perse"], "add -o DIR"),
        (["{}/toy.perse", "{}/set"], "name the data set's folder by -o DIR"),
        (["{}/toy.perse", "-o", "{}/set", "--frames", "1"], "--frames 1 is out of range"),
        (["{}/toy.perse", "-o", "{}/set", "--size", "9"], "--size 9 is out of range"),
        (["{}/toy.perse", "-o", "{}/set", "--part", "hair"], "--part goes with --from or --text"),
        (["{}/toy.perse", "-o", "{}/set", "--text", "x", "--part", "hair"], "add --model FOLDER"),
        (["{}/toy.perse", "-o", "{}/set", "--text", "x", "--model", "y"], "add --part hair"),
        (["{}/toy.perse", "-o", "{}/set", "--attributes", "moon"], "unknown attribute 'moon'"),
        (["{}/toy.perse", "-o", "{}/set", "--animator", "video"], "add --video FOLDER"),
        (["{}/toy.perse", "-o", "{}/set", "--animator", "liveportrait"], "add --liveportrait"),
        (["{}/toy.perse", "-o", "{}/set", "--motion", "{}/none.mp4"], "none.mp4: no such file"),
        (["{}/toy.perse", "-o", "{}"], "is not empty and no data set"),
        (["show"], "dataset show DIR"),
        (["show", "{}/none"], "none: no such folder"),
        (["show", "{}"], "there is no transforms.json"),
    ],
)
def test_what_cannot_be_made_is_one_line(
    avatar_file: Path, words: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = avatar_file.parent
    assert cli.main(["dataset", *(word.format(folder) for word in words)]) == 2
    error = capsys.readouterr().err
    assert what in error and len(error.strip().splitlines()) == 1
    assert not (folder / "set").exists()


def test_a_full_disk_is_said_before_anything_is_drawn(
    avatar_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = shutil.disk_usage(avatar_file.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: whole._replace(free=1000))
    assert make(avatar_file, avatar_file.parent / "set", "toy-hat") == 2
    assert re.search(r"needs [\d.]+ GB, and 0\.0 GB are free", capsys.readouterr().err)


@pytest.mark.slow
def test_show_writes_a_sheet_and_a_page(avatar_file: Path) -> None:
    root = avatar_file.parent / "set"
    assert make(avatar_file, root, "toy-hat") == 0
    assert cli.main(["dataset", "show", str(root)]) == 0
    with Image.open(root / "sheet.png") as sheet:  # five frames and five maps, none of them twice
        assert sheet.width == 2 * 24 + 10 * (160 + 6) - 6
    page = (root / "index.html").read_text("utf-8")
    content = json.loads(re.search(r"const data = (.*);\n", page)[1].replace("<\\/", "</"))  # pyright: ignore[reportOptionalSubscript]
    for look in content["looks"]:
        for paths in look["files"].values():
            assert len(paths) == FRAMES and all((root / path).is_file() for path in paths)
    assert "http" not in page.replace("http-equiv", ""), "nothing comes from elsewhere"


def test_recorded_motion_is_followed(avatar_file: Path) -> None:
    avatar = toy_avatar(gaussians=600)
    recorded = grimaces(avatar, 3, 5)
    write_moments(avatar_file.parent / "me.motion", recorded, 64)
    root = avatar_file.parent / "set"
    words = ["--attributes", "toy-hat", "--size", "64", "--motion", str(root.parent / "me.motion")]
    assert cli.main(["dataset", str(avatar_file), "-o", str(root), *words]) == 0
    found = read_dataset(root)
    assert found.manifest is not None and found.manifest.motion.kind == "motion"
    assert len(found.looks[0].frames) == 3
    for frame, moment in zip(found.looks[0].frames, recorded, strict=True):
        np.testing.assert_allclose(frame.expression, moment.expression, atol=0.003)
        np.testing.assert_allclose(frame.pose.R_cam_head, moment.pose.R_cam_head, atol=1e-3)


def test_the_built_in_motion_is_the_same_each_time_and_covers_what_it_must(tmp_path: Path) -> None:
    avatar = toy_avatar()
    acted = grimaces(avatar, 50, 9)
    one, again, other = (built_in_motion(avatar, acted, 64, 50, seed) for seed in (0, 0, 1))
    assert len(one) == 64
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a.expression, b.expression)
    assert any(
        not np.array_equal(a.expression, b.expression) for a, b in zip(one, other, strict=True)
    )
    np.testing.assert_array_equal(one[0].expression, avatar.source.expression)
    whole = built_in_motion(avatar, grimaces(avatar, 513, 9), 513, 400, 0)
    turns = [
        np.linalg.norm(to_axis_angle(b.pose.R_cam_head @ a.pose.R_cam_head.T))
        for a, b in pairwise(whole)
    ]
    assert len(whole) == 513 and np.degrees(max(turns)) < 12, "one part passes into the next"
    for part in (whole[:400], whole[400:]):
        strongest = np.max([moment.expression for moment in part], 0)
        assert (strongest > 0.5).sum() >= 12, "grimaces in both splits"
    write_moments(tmp_path / "a.motion", one, 64)
    read = read_moments(tmp_path / "a.motion")
    for moment, kept in zip(one, read, strict=True):
        np.testing.assert_allclose(kept.expression, moment.expression, atol=1 / 255)
        np.testing.assert_allclose(kept.pose.R_cam_head, moment.pose.R_cam_head, atol=1e-3)
        np.testing.assert_allclose(kept.pose.t_cam_head, moment.pose.t_cam_head, atol=1e-4)


def test_perse_s_rule() -> None:
    assert {name for name in CATEGORIES if keeps_outline(name)} == {
        "cloth",
        "eyebrows",
        "mouth",
        "nose",
    }
    assert set(CATEGORIES) <= set(SLOTS) and category_of("eyes") is None
    assert len(DEFAULT_LOOKS) == len(set(DEFAULT_LOOKS)) == 16 and set(DEFAULT_LOOKS) <= set(TITLES)


def test_looks_that_only_change_colours_share_the_maps() -> None:
    from attribute_toys import toy_attribute

    avatar = toy_avatar()
    look = toy_attribute(avatar, "dye", "hair", moved=0, on_surface=0, free=0)
    assert not shares_geometry(avatar, look), "it changes opacities"
    assert shares_geometry(avatar, replace(look, opacities=avatar.opacities[look.ids]))
    assert not shares_geometry(avatar, None)
    paint = toy_attribute(avatar, "paint", "mouth", moved=0, changed=0, free=0)
    assert not shares_geometry(avatar, paint), "hair stands out"
    on_skin = replace(paint.added, regions=np.zeros_like(paint.added.regions))
    assert shares_geometry(avatar, replace(paint, added=on_skin))
