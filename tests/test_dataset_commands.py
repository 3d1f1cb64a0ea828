"""`attribute learn` and `attribute measure --dataset`: what a data set shows is learnt, from its train split alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from data_set_toys import TEST, hat, write_data_set
from perse_live import cli
from perse_live.avatar import load_avatar, save_avatar
from toys import toy_avatar

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dataset")
    avatar = toy_avatar(gaussians=600)
    save_avatar(path / "me.perse", avatar)
    write_data_set(path / "set", avatar, hat(avatar))
    return path


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert cli.main([str(one) for one in ("attribute", *arguments)]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


def test_a_look_is_learnt_from_its_pictures(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    me, data = folder / "me.perse", folder / "set"
    assert "shows none of the attributes" in complaint(capsys, "measure", me, "--dataset", data)
    assert cli.main(["attribute", "learn", str(me), "--dataset", str(data)]) == 0
    assert "1 learnt in" in capsys.readouterr().out
    avatar = load_avatar(me)
    assert [(one.name, one.slot) for one in avatar.attributes] == [("hat-toy", "hat")]
    assert len(avatar.attributes[0].added) > 100 and len(avatar.attributes[0].ids) > 10
    assert cli.main(["attribute", "measure", str(me), "--dataset", str(data), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (look,), (between,) = told["looks"], told["in_betweens"]
    assert look["frames"] == TEST and look["category"] == between["category"] == "hat"
    # without the look the part has 15 dB, the picture 22
    assert look["unseen"]["part_psnr"] > 23 and look["unseen"]["psnr"] > 29
    assert told["mean"]["psnr"] == pytest.approx(look["unseen"]["psnr"])
    assert between["fades"] == 1 and between["step_ratio"] >= 1 and between["fid"] is None
    assert cli.main(["attribute", "measure", str(me), "--dataset", str(data)]) == 0
    said = capsys.readouterr().out
    assert "hat-toy" in said and "PERSE" in said and "LPIPS: AlexNet's weights" in said


def test_what_cannot_be_learnt_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    me, data = folder / "me.perse", folder / "set"
    learn = ("learn", me, "--dataset")
    assert "has no look 'beard'" in complaint(capsys, *learn, data, "--only", "beard")
    assert "no such folder" in complaint(capsys, *learn, tmp_path / "nowhere")
    assert "--frames is from 1" in complaint(capsys, *learn, data, "--frames", 0)
    for command in (("add", me, "beard-full"), (*learn, data)):
        for weight in ("-1", "nan", "1e9"):
            said = complaint(capsys, *command, f"--interpolation={weight}")
            assert "--interpolation is from 0 to 100, not" in said
    foreign = tmp_path / "foreign"
    avatar = load_avatar(me)
    write_data_set(foreign, replace(avatar, attributes=()), hat(avatar), manifest=False)
    assert "add --slot with one of hair, hat" in complaint(capsys, *learn, foreign)
