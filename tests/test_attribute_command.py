from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from PIL import Image

from attribute_toys import toy_attribute, toy_decoder, toy_learned
from offline.looks import edit
from perse_live import cli
from perse_live.attributes import Attribute, PhotoOrigin
from perse_live.avatar import Avatar, load_avatar, save_avatar
from toys import toy_avatar


def cap(avatar: Avatar) -> Attribute:
    return toy_attribute(avatar, "hat-cap", "hat")


def beard(avatar: Avatar) -> Attribute:
    return toy_attribute(avatar, "beard-full", "beard", seed=1)


@pytest.fixture
def bare_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An avatar that is not enough of a head for the real makers: toys are put in their place."""
    monkeypatch.setattr(edit, "builders", lambda: {"hat-cap": cap, "beard-full": beard})
    save_avatar(tmp_path / "toy.perse", toy_avatar(gaussians=300))
    return tmp_path / "toy.perse"


def names_in(path: Path) -> list[str]:
    return [one.name for one in load_avatar(path).attributes]


def listed(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, object]]]:
    assert cli.main(["attribute", "list", str(path), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1 and captured.err == ""
    return json.loads(captured.out)


@pytest.mark.slow
def test_attributes_are_added_listed_and_removed(
    bare_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    possible = listed(bare_file, capsys)
    assert possible["attributes"] == []
    assert cli.main(["attribute", "add", str(bare_file), "hat-cap", "beard-full"]) == 0
    assert names_in(bare_file) == ["hat-cap", "beard-full"]
    assert "hat-cap, beard-full" in capsys.readouterr().out
    now = listed(bare_file, capsys)
    assert now["attributes"][1] == {
        "name": "beard-full",
        "label": "Beard full",
        "slot": "beard",
        "key": 2,
        "gaussians": 70,
        "photo": None,
    }
    assert [one["name"] for one in now["available"]] == [
        one["name"] for one in possible["available"] if one["name"] not in ("hat-cap", "beard-full")
    ]
    assert now["available"][0].keys() == {"name", "label", "slot"}
    assert cli.main(["attribute", "list", str(bare_file)]) == 0
    assert "Beard full" in capsys.readouterr().out
    assert cli.main(["attribute", "add", str(bare_file), "hat-cap"]) == 0
    assert names_in(bare_file) == ["hat-cap", "beard-full"], "it took its own place"
    assert cli.main(["attribute", "remove", str(bare_file), "hat-cap"]) == 0
    assert names_in(bare_file) == ["beard-full"]
    assert cli.main(["attribute", "remove", str(bare_file), "all"]) == 0
    assert names_in(bare_file) == []
    assert cli.main(["info", str(bare_file), "--json"]) == 0


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["add", "{}", "nose-ring"], "unknown attribute 'nose-ring': there are all, default, "),
        (["add", "{}", "hat-cap", "nose-ring"], "unknown attribute 'nose-ring'"),
        (["add", "{}"], "no attribute is named"),
        (["remove", "{}", "hat-cap"], "no attribute 'hat-cap' to remove: there are none"),
        (["remove", "{}"], "no attribute is named"),
        (["preview", "{}", "-o", "{}.png"], "has no attributes: perse-live attribute add"),
        (["preview", "{}"], "--output"),
        (["add", "nowhere.perse", "hat-cap"], "nowhere.perse: there is no such file"),
        (["paint", "{}"], "paint"),
        ([], "{list, add, learn, remove, preview, thumbnails, measure}"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_the_file_alone(
    bare_file: Path, words: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bare_file.read_bytes()
    assert cli.main(["attribute", *(word.replace("{}", str(bare_file)) for word in words)]) == 2
    captured = capsys.readouterr()
    assert (
        captured.out == ""
        and captured.err.startswith("perse-live: ")
        and captured.err.count("\n") == 1
    )
    assert what in captured.err
    assert bare_file.read_bytes() == before
    assert [path.name for path in bare_file.parent.iterdir()] == ["toy.perse"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("words", [["add", "hat-cap"], ["remove", "all"]])
def test_a_file_that_cannot_be_written_is_said_before_the_work(
    bare_file: Path,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun: list[Avatar] = []
    monkeypatch.setattr(
        edit, "builders", lambda: {"hat-cap": lambda avatar: begun.append(avatar) or cap(avatar)}
    )
    bare_file.parent.chmod(0o555)
    try:
        assert cli.main(["attribute", words[0], str(bare_file), words[1]]) == 2
    finally:
        bare_file.parent.chmod(0o755)
    assert "permission denied" in capsys.readouterr().err
    assert not begun


@pytest.mark.slow
def test_a_maker_that_fails_leaves_the_file_alone(
    bare_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(avatar: Avatar) -> Attribute:
        return replace(cap(avatar), slot="elbow")

    before = bare_file.read_bytes()
    monkeypatch.setattr(edit, "builders", lambda: {"hat-cap": broken})
    assert cli.main(["attribute", "add", str(bare_file), "hat-cap"]) == 1
    assert "elbow" in capsys.readouterr().err
    assert bare_file.read_bytes() == before
    assert [path.name for path in bare_file.parent.iterdir()] == ["toy.perse"]


def test_whose_photo_a_look_is_from_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy, origin = (
        toy_avatar(gaussians=300),
        PhotoOrigin("ab" * 32, "the user me, by --consent", "2026-01-01T00:00:00+00:00"),
    )
    looks = (
        replace(toy_learned(toy, "hair-friend", "hair"), origin=origin),
        toy_learned(toy, "beard", "beard", seed=1),
    )
    save_avatar(tmp_path / "toy.perse", replace(toy, attributes=looks, decoder=toy_decoder()))
    assert [one["photo"] for one in listed(tmp_path / "toy.perse", capsys)["attributes"]] == [
        asdict(origin),
        None,
    ]
    for command in (["attribute", "list"], ["info"]):
        assert cli.main([*command, str(tmp_path / "toy.perse")]) == 0
        said = capsys.readouterr().out
        assert (
            "hair-friend: from the photo abababababab; consent: the user me, by --consent, 2026-01-01"
            in said
        )
        assert "beard: from" not in said


@pytest.mark.slow
def test_a_preview_is_a_picture(bare_file: Path, tmp_path: Path) -> None:
    assert cli.main(["attribute", "add", str(bare_file), "hat-cap"]) == 0
    assert (
        cli.main(["attribute", "preview", str(bare_file), "-o", str(tmp_path / "sheet.png")]) == 0
    )
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("beard", "hair-friend"), "looks of one slot, not beard (beard), hair-friend (hair)"),
        (("hair-none",), "has no attribute hair-none"),
    ],
)
def test_a_way_is_of_one_slot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, ...], says: str
) -> None:
    toy = toy_avatar(gaussians=300)
    looks = (
        toy_learned(toy, "beard", "beard"),
        toy_learned(toy, "hair-friend", "hair", seed=1),
    )
    save_avatar(tmp_path / "toy.perse", replace(toy, attributes=looks, decoder=toy_decoder()))
    out = str(tmp_path / "sheet.png")
    command = ["attribute", "preview", str(tmp_path / "toy.perse"), "-o", out, "--along", *names]
    assert cli.main(command) == 2
    assert says in capsys.readouterr().err


def test_building_checks_the_attributes_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.jpg").write_text("never read")
    assert (
        cli.main(
            [
                "build",
                str(tmp_path / "photo.jpg"),
                "-o",
                str(tmp_path / "me.perse"),
                "--consent",
                "--attributes",
                "beard-full,nose-ring",
            ]
        )
        == 2
    )
    assert "unknown attribute 'nose-ring'" in capsys.readouterr().err


def test_a_list_needs_neither_torch_nor_the_makers(tmp_path: Path) -> None:
    save_avatar(tmp_path / "toy.perse", toy_avatar(gaussians=300))
    code = (
        f"import sys; from perse_live import cli; code = cli.main(['attribute', 'list', {str(tmp_path / 'toy.perse')!r}]);"
        "sys.exit(code or 'torch' in sys.modules or 'anny' in sys.modules or 'offline.looks.with_geometry' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode
        == 0
    )
