from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData
from splat_clouds import cloud, half_turned

from attribute_toys import toy_decoder, toy_learned
from export.interchange import write_interchange
from export.state import state_gaussians
from perse_live import cli
from perse_live.avatar import Avatar, load_avatar, save_avatar
from perse_live.errors import UserError
from perse_live.head.expressions import expression
from perse_live.weights import parse_weights
from toys import toy_avatar


def with_hat() -> Avatar:
    avatar = toy_avatar(gaussians=300)
    return replace(
        avatar, decoder=toy_decoder(), attributes=(toy_learned(avatar, "hat-cap", "hat"),)
    )


@pytest.fixture
def avatar_file(tmp_path: Path) -> Path:
    save_avatar(tmp_path / "toy.perse", with_hat())
    return tmp_path / "toy.perse"


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["export", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def test_writes_every_format_into_a_new_folder(
    avatar_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out"
    assert (
        cli.main(
            ["export", str(avatar_file), "-o", str(out), "--formats", "ply, SPZ,splat,glb,ply"]
        )
        == 0
    )
    assert sorted(path.name for path in out.iterdir()) == [
        "toy.glb",
        "toy.ply",
        "toy.splat",
        "toy.spz",
    ]
    assert capsys.readouterr().out.count("\n") == 4
    starts = {path.suffix: path.read_bytes()[:4] for path in out.iterdir()}
    assert (starts[".ply"], starts[".glb"], starts[".spz"][:2]) == (b"ply\n", b"glTF", b"\x1f\x8b")


def test_ply_is_the_avatar_in_the_look_and_expression_asked_for(
    avatar_file: Path, tmp_path: Path
) -> None:
    words = ["--attribute", "hat-cap=0.8", "--expression", "jawOpen=0.5", "eyeLookUpLeft=1"]
    assert cli.main(["export", str(avatar_file), "-o", str(tmp_path), *words]) == 0
    avatar = load_avatar(avatar_file)
    vertex = PlyData.read(io.BytesIO((tmp_path / "toy.ply").read_bytes()))["vertex"]
    expected = state_gaussians(
        avatar, attributes={"hat-cap": 0.8}, expression=expression(jawOpen=0.5, eyeLookUpLeft=1)
    )
    means = half_turned(np.stack([vertex["x"], vertex["y"], vertex["z"]], 1))
    np.testing.assert_array_equal(means, expected.means)


def test_state_moves_with_the_expression_and_grows_with_attributes() -> None:
    avatar = with_hat()
    rest = state_gaussians(avatar, attributes={}, expression=expression())
    looking = state_gaussians(
        avatar, attributes={}, expression=expression(eyeLookUpLeft=1, jawOpen=1)
    )
    hatted = state_gaussians(avatar, attributes={"hat-cap": 1}, expression=expression())
    assert rest.means.shape == looking.means.shape and not np.array_equal(rest.means, looking.means)
    assert len(hatted) > len(rest)
    np.testing.assert_allclose(np.linalg.norm(hatted.quats, axis=1), 1, atol=1e-6)


def test_state_is_in_the_head_frame_and_seen_from_all_sides() -> None:
    avatar = toy_avatar(gaussians=2000)
    rest = state_gaussians(avatar, attributes={}, expression=expression())
    shown = avatar.opacities >= 1 / 255
    # Nothing is culled for facing away
    np.testing.assert_array_equal(rest.opacities, avatar.opacities[shown])
    free = avatar.rigid.means[shown[len(avatar.surface.triangles) :]]
    np.testing.assert_allclose(rest.means[-len(free) :], free, atol=1e-6)


def test_gaussians_that_no_one_sees_are_left_out() -> None:
    avatar = toy_avatar(gaussians=300)
    faint = replace(
        avatar, opacities=np.where(np.arange(len(avatar)) % 2, avatar.opacities, np.float32(0.003))
    )
    rest = state_gaussians(faint, attributes={}, expression=expression())
    np.testing.assert_array_equal(rest.opacities, faint.opacities[faint.opacities >= 1 / 255])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--formats", "ply,obj"], "there is no format 'obj': there are ply, spz, splat, glb, web"),
        (["--formats", ","], "no format is named"),
        (["--attribute", "beard=1"], "there is no attribute 'beard': there are hat-cap"),
        (["--attribute", "hat-cap=2"], "is not a number from 0 to 1"),
        (["--attribute", "hat-cap=nan"], "is not a number from 0 to 1"),
        (["--attribute", "hat-cap"], "is not a number from 0 to 1"),
        (["--expression", "jawopen=1"], "there is no expression 'jawopen': there are jawOpen"),
        (["--expression", "jawOpen=wide"], "is not a number from 0 to 1"),
    ],
)
def test_bad_wishes_are_one_clear_line_and_leave_nothing(
    avatar_file: Path,
    tmp_path: Path,
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert said in complaint(capsys, str(avatar_file), "-o", str(tmp_path / "out"), *words)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_folders_place_is_named(
    avatar_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")
    assert "it is a file" in complaint(capsys, str(avatar_file), "-o", str(tmp_path / "out"))
    assert "cannot write" in complaint(
        capsys, str(avatar_file), "-o", str(tmp_path / "out" / "deeper")
    )
    assert (tmp_path / "out").read_text() == "mine"


def test_what_one_format_cannot_hold_stops_all_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.spz cannot hold"):
        write_interchange(cloud(9, 0, reach=2e4), tmp_path / "out", "far", ["ply", "spz"])
    assert not (tmp_path / "out").exists()


def test_an_avatar_that_cannot_be_seen_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing of the avatar can be seen"):
        write_interchange(cloud(0, 0), tmp_path / "out", "none", ["ply"])
    assert not (tmp_path / "out").exists()


def test_the_last_of_two_weights_counts() -> None:
    assert parse_weights(["a=0.2", "b=1", "a=0.4"], ["a", "b"], "attribute") == {"a": 0.4, "b": 1.0}
    with pytest.raises(UserError, match="there are none"):
        parse_weights(["a=0.2"], [], "attribute")


def test_export_needs_neither_the_builder_nor_the_live_path() -> None:
    program = (
        "import sys, export.interchange, export.state\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'offline', 'runtime')])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
