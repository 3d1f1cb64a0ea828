"""Nothing of the user's is lost: outputs are checked before the work, against inputs and against what is there."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attribute_toys import toy_decoder, toy_learned
from perse_live import cli
from perse_live.avatar import save_avatar
from perse_live.engines.folder import MANIFEST, EngineFolder, manifest_text
from perse_live.errors import UserError
from perse_live.files import write_image
from perse_live.film.reader import open_film
from perse_live.film.writer import film_writer
from perse_live.outputs import (
    check_output_folder,
    check_outputs,
    check_replaced_folder,
    check_writable,
    free_name,
    free_side_file,
    written_by_us,
)
from toys import toy_avatar

PICTURE = np.full((300, 300, 3), 90, np.uint8)


@pytest.fixture
def avatar_file(tmp_path: Path) -> Path:
    """An avatar with a look, named as a stranger would."""
    from dataclasses import replace

    avatar = toy_avatar(gaussians=300)
    save_avatar(
        tmp_path / "me.perse",
        replace(avatar, decoder=toy_decoder(), attributes=(toy_learned(avatar, "hat-cap", "hat"),)),
    )
    return tmp_path / "me.perse"


def film(path: Path, *, marked: bool = True) -> Path:
    with film_writer(path, width=64, height=64, rate=Fraction(25)) as writer:
        for shade in range(4):
            writer.write(np.full((64, 64, 3), 50 * shade, np.uint8))
    if not marked:
        path.write_bytes(path.read_bytes().replace(b"perse-live", b"phone-cam."))
    return path


# ----- who wrote a file


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_pictures_say_who_wrote_them(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, PICTURE)
    assert written_by_us(tmp_path / name)
    Image.fromarray(PICTURE).save(tmp_path / name)
    assert not written_by_us(tmp_path / name)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm"])
def test_films_say_who_wrote_them(tmp_path: Path, name: str) -> None:
    assert written_by_us(film(tmp_path / name))
    assert not written_by_us(film(tmp_path / name, marked=False))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_film_cut_off_anywhere_in_its_head_does_not_say_so_but_is_no_failure(
    tmp_path: Path, name: str
) -> None:
    """FFmpeg's end of file is neither an OSError nor a ValueError."""
    path = film(tmp_path / name)
    content = path.read_bytes()
    for length in range(4, 700, 9):
        path.write_bytes(content[:length])
        assert isinstance(written_by_us(path), bool)


def test_avatars_and_exports_say_who_wrote_them(avatar_file: Path, tmp_path: Path) -> None:
    assert written_by_us(avatar_file)
    assert (
        cli.main(
            ["export", str(avatar_file), "-o", str(tmp_path / "out"), "--formats", "ply,spz,glb"]
        )
        == 0
    )
    written = sorted((tmp_path / "out").iterdir())
    assert [path.suffix for path in written] == [".glb", ".ply", ".spz"]
    assert all(map(written_by_us, written))
    assert (
        cli.main(
            ["export", str(avatar_file), "-o", str(tmp_path / "out"), "--formats", "ply,spz,glb"]
        )
        == 0
    ), "again"


@pytest.mark.parametrize(
    "content",
    [
        b"Dear diary",
        b"",
        b'{"creator": 3}',
        b"\x89PNG\r\n\x1a\n",
        b"ply\ncomment perse-lively\n",
        b"glTF" + bytes(30),
        b"\x1f\x8b\x08\x08" + bytes(6) + b"perse-liver\0",
        b"\xff" * 64,
        b"\x00\x00\x00\x18ftypmp42",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_anything_else_does_not(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "me.perse").write_bytes(content)
    assert not written_by_us(tmp_path / "me.perse")


# ----- what may be written


def links(path: Path) -> dict[str, Callable[[], Path]]:
    """Other names of one file."""

    def symbolic() -> Path:
        (path.parent / "symbolic.png").symlink_to(path)
        return path.parent / "symbolic.png"

    def hard() -> Path:
        os.link(path, path.parent / "hard.png")
        return path.parent / "hard.png"

    def folder() -> Path:
        (path.parent / "there").symlink_to(path.parent)
        return path.parent / "there" / path.name

    return {
        "itself": lambda: path,
        "symbolic": symbolic,
        "hard": hard,
        "dots": lambda: path.parent / "x" / ".." / path.name,
        "folder": folder,
    }


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("link", ["itself", "symbolic", "hard", "dots", "folder"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_never_replaced_under_any_name(
    tmp_path: Path, link: str, overwrite: bool
) -> None:
    photo = tmp_path / "me.png"
    write_image(photo, PICTURE)
    (tmp_path / "x").mkdir()
    with pytest.raises(UserError, match="it is the input"):
        check_outputs([links(photo)[link]()], inputs=[photo], overwrite=overwrite)


def test_a_name_in_other_letters_may_be_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "me.png").write_bytes(b"x")
    same = os.path.samefile
    monkeypatch.setattr(
        "os.path.samefile",
        lambda one, other: same(Path(str(one).lower()), Path(str(other).lower())),
    )
    with pytest.raises(UserError, match="it is the input"):
        check_outputs([tmp_path / "ME.PNG"], inputs=[tmp_path / "me.png"])


def test_files_of_others_need_overwrite_and_empty_or_own_ones_do_not(tmp_path: Path) -> None:
    other, ours, empty = (tmp_path / name for name in ("other.png", "own.png", "empty.png"))
    Image.fromarray(PICTURE).save(other)
    write_image(ours, PICTURE)
    empty.touch()
    check_outputs([ours, empty, tmp_path / "new.png"], inputs=[])
    with pytest.raises(UserError, match=r"other\.png: a file of that name is there.*--overwrite"):
        check_outputs([ours, other], inputs=[])
    check_outputs([other], inputs=[], overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "empty.png",
        "other.png",
        "own.png",
    ], "nothing is left by looking"


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.mp4").mkdir()
    for path, what in (
        (tmp_path / "nowhere" / "a.mp4", "the folder does not exist"),
        (tmp_path / "file" / "a.mp4", "is a file"),
        (tmp_path / "folder.mp4", "a folder of that name"),
        (tmp_path / ("a" * 300 + ".mp4"), "too long"),
        (Path(os.devnull), "no ordinary file" if sys.platform != "win32" else ""),
    ):
        with pytest.raises(UserError, match=what):
            check_writable(path)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_protected_folder_and_a_protected_file(tmp_path: Path) -> None:
    protected = tmp_path / "file.png"
    write_image(protected, PICTURE)
    protected.chmod(0o444)
    with pytest.raises(UserError, match="permission denied"):
        check_writable(protected)
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match="permission denied"):
        check_writable(tmp_path / "new.png")
    tmp_path.chmod(0o755)


def test_a_folder_that_is_not_there_yet_can_be_written_into(tmp_path: Path) -> None:
    check_output_folder(tmp_path / "deep" / "out", ["a.ply"], inputs=[])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(UserError, match="choose a folder"):
            check_output_folder(folder, ["a.ply"], inputs=[])


def test_a_folder_is_replaced_only_with_what_is_known_in_it(tmp_path: Path) -> None:
    page = tmp_path / "me.web"
    page.mkdir()
    (page / "avatar.json").write_text("{}")
    check_replaced_folder(page, ("avatar.json",), inputs=[])
    (page / "mine.html").write_text("notes")
    with pytest.raises(UserError, match=r"mine\.html in it is not from perse-live"):
        check_replaced_folder(page, ("avatar.json",), inputs=[])
    check_replaced_folder(page, ("avatar.json",), inputs=[], overwrite=True)
    with pytest.raises(UserError, match="is in it"):
        check_replaced_folder(page, ("avatar.json",), inputs=[page / "me.perse"], overwrite=True)


def test_a_side_file_goes_around_what_is_there(tmp_path: Path) -> None:
    wish = tmp_path / "me.png"
    assert free_side_file(wish, inputs=[]) == wish
    write_image(wish, PICTURE)
    assert free_side_file(wish, inputs=[]) == wish, "an earlier sheet of ours"
    assert free_side_file(wish, inputs=[wish]) == tmp_path / "me.sheet.png", "unless it is read"
    Image.fromarray(PICTURE).save(wish)
    assert free_side_file(wish, inputs=[]) == tmp_path / "me.sheet.png"
    (tmp_path / "me.sheet.png").write_bytes(wish.read_bytes())
    assert free_side_file(wish, inputs=[]) == tmp_path / "me.sheet-2.png"


def test_a_free_name(tmp_path: Path) -> None:
    wish = tmp_path / "demo.perse"
    assert free_name(wish, ".png") == wish
    (tmp_path / "demo.png").touch()
    (tmp_path / "demo-2.perse").touch()
    assert free_name(wish, ".png") == tmp_path / "demo-3.perse"
    assert free_name(wish, ".png", taken=[tmp_path / "demo-3.perse"]) == tmp_path / "demo-4.perse"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_that_leads_nowhere_is_no_free_name(tmp_path: Path) -> None:
    (tmp_path / "demo.perse").symlink_to(tmp_path / "gone")
    assert free_name(tmp_path / "demo.perse") == tmp_path / "demo-2.perse"


# ----- every command


def refused(capsys: pytest.CaptureFixture[str], words: list[str], what: str) -> None:
    """Nothing is changed, and one line says why."""
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and what in error, error


def commands(folder: Path, output: str) -> dict[str, list[str]]:
    """Command lines that write to an output in a folder."""
    avatar, clip, out = str(folder / "me.perse"), str(folder / "in.mp4"), str(folder / output)
    return {
        "build": ["build", str(folder / "me.png"), "--consent", "-o", out],
        "drive": ["drive", avatar, clip, "-o", out],
        "render": ["render", avatar, "-o", out],
        "preview": ["attribute", "preview", avatar, "-o", out],
        "demo": ["demo", "-o", out, "--no-browser", "--seconds", "1"],
        "live": [
            "live",
            avatar,
            "--camera",
            "none",
            "--port",
            "0",
            "--no-browser",
            "--seconds",
            "1",
            "--record",
            out,
        ],
    }


@pytest.mark.parametrize(
    ("command", "suffix"),
    [
        ("build", ".perse"),
        ("drive", ".mp4"),
        ("render", ".png"),
        ("preview", ".png"),
        ("demo", ".mp4"),
        ("live", ".mp4"),
    ],
)
def test_every_command_spares_a_file_that_is_not_ours(
    avatar_file: Path, tmp_path: Path, command: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "me.png")
    film(tmp_path / "in.mp4", marked=False)
    precious = tmp_path / f"precious{suffix}"
    precious.write_text("a year of work")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    refused(capsys, commands(tmp_path, precious.name)[command], "--overwrite")
    refused(
        capsys, commands(tmp_path, f"nowhere/new{suffix}")[command], "the folder does not exist"
    )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("command", ["drive", "demo", "live"])
def test_every_command_spares_a_file_that_has_the_name_of_its_mark(
    avatar_file: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    film(tmp_path / "in.mp4")
    (tmp_path / "out.mkv.mark.json").write_text("mine")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    refused(capsys, commands(tmp_path, "out.mkv")[command], "out.mkv.mark.json")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("command", "output", "what"),
    [
        ("build", "out.mp4", "name it .perse"),
        ("drive", "out.txt", ".mp4, .mov"),
        ("render", "out.perse", "name the picture"),
        ("preview", "out.mp4", "name the picture"),
        ("demo", "out.perse", ".mp4, .mov"),
        ("live", "out.png", ".mp4, .mov"),
    ],
)
def test_an_impossible_name_is_said_before_the_work(
    avatar_file: Path,
    tmp_path: Path,
    command: str,
    output: str,
    what: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "me.png")
    (tmp_path / "in.mp4").write_text("not looked at")
    refused(capsys, commands(tmp_path, output)[command], what)
    assert not (tmp_path / output).exists()


@pytest.mark.parametrize(
    ("command", "output"), [("build", "me.png"), ("drive", "in.mp4"), ("live", "me.perse")]
)
def test_no_command_replaces_what_it_reads(
    avatar_file: Path, tmp_path: Path, command: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "me.png")
    film(tmp_path / "in.mp4")
    words = commands(tmp_path, output)[command]
    if command == "build":  # the avatar's file must be named .perse, and a photo may be
        (tmp_path / "photo.perse").write_bytes((tmp_path / "me.png").read_bytes())
        words = [
            "build",
            str(tmp_path / "photo.perse"),
            "--consent",
            "-o",
            str(tmp_path / "photo.perse"),
        ]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    refused(capsys, [*words, "--overwrite"], "it is the input")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_drive_does_not_replace_its_background(
    avatar_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film(tmp_path / "in.mp4")
    wall = tmp_path / "wall.mp4"  # named as the output must be
    Image.fromarray(PICTURE).save(wall, format="PNG")
    refused(
        capsys,
        [
            "drive",
            str(avatar_file),
            str(tmp_path / "in.mp4"),
            "-o",
            str(wall),
            "--background",
            str(wall),
            "--overwrite",
        ],
        "it is the input",
    )


def test_a_background_that_cannot_be_read_is_said_before_the_film_is_followed(
    avatar_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film(tmp_path / "in.mp4")  # nobody is in it, which would be said next
    (tmp_path / "wall.png").write_bytes(b"no picture")
    words = ["drive", str(avatar_file), str(tmp_path / "in.mp4"), "-o", str(tmp_path / "out.mp4")]
    refused(capsys, [*words, "--background", str(tmp_path / "wall.png")], "wall.png: not a picture")


@pytest.mark.parametrize("output", ["", ".", "/"])
def test_an_avatar_needs_a_name(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["build", "photo.jpg", "-o", output, "--consent"], "me.perse")


def test_a_folder_is_no_photo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["build", str(tmp_path), "-o", str(tmp_path / "me.perse"), "--consent"]
    refused(capsys, words, "not an ordinary file")


@pytest.mark.slow
def test_render_replaces_its_own_sheet_and_with_overwrite_any(
    avatar_file: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.png"
    assert cli.main(["render", str(avatar_file), "-o", str(sheet)]) == 0
    assert cli.main(["render", str(avatar_file), "-o", str(sheet)]) == 0
    Image.fromarray(PICTURE).save(sheet)
    assert cli.main(["render", str(avatar_file), "-o", str(sheet)]) == 2
    assert cli.main(["render", str(avatar_file), "-o", str(sheet), "--overwrite"]) == 0
    assert written_by_us(sheet)


def test_export_spares_files_and_folders_that_are_not_ours(
    avatar_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    export = ["export", str(avatar_file), "-o", str(out)]
    assert cli.main([*export, "--formats", "web,splat"]) == 0
    capsys.readouterr()
    # The format has no room to say who wrote it
    refused(capsys, [*export, "--formats", "splat"], "--overwrite")
    assert cli.main([*export, "--formats", "web,splat", "--overwrite"]) == 0
    capsys.readouterr()
    (out / "me.web" / "notes.txt").write_text("mine")
    refused(capsys, [*export, "--formats", "web"], "notes.txt")
    engines = ["export", str(avatar_file), "-o", str(out), "--engines", "onnx"]
    (out / "me.engines").mkdir()
    (out / "me.engines" / MANIFEST).write_text(
        manifest_text(EngineFolder(out / "me.engines", "me.perse", "", "", (), ()))
    )
    (out / "me.engines" / "detector.onnx").write_text("mine")
    refused(capsys, engines, "detector.onnx")
    (out / "me.ply").write_text("mine")
    refused(capsys, export, "--overwrite")
    inside = out / "me.web" / "me.perse"
    inside.write_bytes(avatar_file.read_bytes())
    refused(
        capsys,
        ["export", str(inside), "-o", str(out), "--formats", "web", "--overwrite"],
        "is in it",
    )
    clash = tmp_path / "me.ply"
    clash.write_bytes(avatar_file.read_bytes())
    refused(capsys, ["export", str(clash), "-o", str(tmp_path), "--overwrite"], "it is the input")


def test_eval_spares_what_is_in_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = film(tmp_path / "talk.mp4")
    (tmp_path / "out" / "talk").mkdir(parents=True)
    (tmp_path / "out" / "talk" / "source.png").write_text("mine")
    refused(capsys, ["eval", str(clip), "-o", str(tmp_path / "out")], "source.png")
    (tmp_path / "own" / "drive").mkdir(parents=True)
    inside = film(tmp_path / "own" / "drive" / "drive.mp4")
    refused(
        capsys, ["eval", str(inside), "-o", str(tmp_path / "own"), "--overwrite"], "it is the input"
    )
    (tmp_path / "faces").mkdir()
    write_image(tmp_path / "faces" / "portraits.png", PICTURE)
    refused(
        capsys,
        ["eval", "--portraits", str(tmp_path / "faces"), "-o", str(tmp_path / "faces")],
        "no picture in it",
    )
    Image.fromarray(PICTURE).save(tmp_path / "faces" / "portraits.png")
    refused(
        capsys,
        [
            "eval",
            "--portraits",
            str(tmp_path / "faces"),
            "-o",
            str(tmp_path / "faces"),
            "--overwrite",
        ],
        "it is the input",
    )


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{url}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {url}\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        '<AdaptationSet mimeType="video/mp4">'
        '<Representation id="1" bandwidth="1"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    ],
)
def test_a_playlist_under_a_films_name_fetches_nothing(tmp_path: Path, playlist: str) -> None:
    """Whoever could place one would learn when and from where it was looked at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/part.ts"
        for suffix in (".mp4", ".mkv", ".m3u8"):
            (tmp_path / f"film{suffix}").write_text(playlist.format(url=url))
            assert not written_by_us(tmp_path / f"film{suffix}")
            with pytest.raises(UserError):
                open_film(tmp_path / f"film{suffix}")
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_to_itself_is_one_line(tmp_path: Path) -> None:
    loop, other = tmp_path / "loop.mp4", tmp_path / "out.mp4"
    loop.symlink_to(loop)
    with pytest.raises(UserError, match=r"loop\.mp4"):
        check_outputs([loop], inputs=[other])
    check_outputs([other], inputs=[loop])
    check_replaced_folder(tmp_path / "none", (), inputs=[loop])
