"""Films are marked in their metadata as made with an avatar."""

from __future__ import annotations

import json
import stat
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import skimage.data

from perse_live import cli
from perse_live.avatar import save_avatar
from perse_live.errors import UserError
from perse_live.film.reader import open_film
from perse_live.film.writer import film_writer
from perse_live.marking import credential
from perse_live.marking.mark import (
    STATEMENT_LABEL,
    SYNTHETIC,
    mark_film,
    mark_of,
    read_side_file,
    side_file,
)
from runtime.live.frames import DrawnFrame
from runtime.sinks.recording import RecordingSink
from toys import toy_avatar

c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed")
AVATAR = toy_avatar()
MARK = mark_of([AVATAR])


@pytest.fixture(autouse=True)
def key_file(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("key") / "signing.pem"
    monkeypatch.setenv(credential.FILE_VARIABLE, str(path))
    return path


def film(path: Path, count: int = 6) -> Path:
    with film_writer(path, width=64, height=48, rate=Fraction(25)) as writer:
        for index in range(count):
            writer.write(np.full((48, 64, 3), 20 * index, np.uint8))
    return path


def manifest(path: Path) -> tuple[str, dict[str, Any]]:
    """What the library's own reader says: the state, and the assertions of the active manifest by their label."""
    with c2pa.Reader(str(path)) as reader:
        report = json.loads(reader.json())
    active = report["manifests"][report["active_manifest"]]
    return cast("str", report["validation_state"]), {
        one["label"]: one["data"] for one in active["assertions"]
    }


def check(assertions: dict[str, Any]) -> None:
    (label,) = (one for one in assertions if one.startswith("c2pa.actions"))
    (action,) = assertions[label]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"] == SYNTHETIC
    assert "avatar" in assertions[STATEMENT_LABEL]["statement"]
    (said,) = assertions[STATEMENT_LABEL]["avatars"]
    assert said["consent_by"] == AVATAR.provenance.consent_by
    assert said["photo_sha256"] == AVATAR.provenance.photo_sha256


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
def test_a_manifest_is_read_back_and_the_film_is_the_same(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"out{suffix}")
    before = [frame.image for frame in open_film(path).frames()]
    assert mark_film(path, MARK) is None
    state, assertions = manifest(path)
    assert state == "Valid"
    check(assertions)
    after = [frame.image for frame in open_film(path).frames()]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_whose_name_is_no_unicode_is_marked(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"b\udcff{suffix}")
    if mark_film(path, MARK) is None:
        assert manifest(path)[0] == "Valid"
    else:
        assert read_side_file(path)["film"] == f"b?{suffix}"


def test_a_film_that_was_changed_afterwards_is_found_out(tmp_path: Path) -> None:
    path = film(tmp_path / "out.mp4")
    mark_film(path, MARK)
    content = bytearray(path.read_bytes())
    content[content.rindex(b"mdat") + 60] ^= 255
    path.write_bytes(content)
    assert manifest(path)[0] == "Invalid"


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_containers_without_manifests_get_a_signed_side_file(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"out{suffix}")
    assert mark_film(path, MARK) == side_file(path)
    check({one["label"]: one["data"] for one in read_side_file(path)["assertions"]})
    mark_film(film(path, 7), MARK)  # a new film of that name has a new side file
    read_side_file(path)


def test_without_the_library_films_get_a_side_file_and_with_it_an_old_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "out.mp4")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "c2pa", None)
        assert mark_film(path, MARK) == side_file(path)
        assert read_side_file(path)["film"] == "out.mp4"
    assert mark_film(path, MARK) is None
    assert not side_file(path).exists()


def test_a_side_file_that_does_not_belong_to_the_film_is_found_out(tmp_path: Path) -> None:
    path = film(tmp_path / "out.mkv")
    side = mark_film(path, MARK)
    assert side is not None
    whole = side.read_text()
    side.write_text(whole.replace("camera footage", "anything else"))
    with pytest.raises(UserError, match="was changed after it was signed"):
        read_side_file(path)
    side.write_text(whole)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(UserError, match="belongs to another film"):
        read_side_file(path)
    side.write_text("{}")
    with pytest.raises(UserError, match="no readable mark"):
        read_side_file(path)


def test_another_file_with_the_side_file_s_name_is_not_overwritten(tmp_path: Path) -> None:
    path = film(tmp_path / "out.mkv")
    side_file(path).write_text("mine")
    with pytest.raises(UserError, match=r"is in the way.*rename it"):
        mark_film(path, MARK)
    assert side_file(path).read_text() == "mine"


def test_the_key_is_made_once_and_for_the_user_only(tmp_path: Path, key_file: Path) -> None:
    mark_film(film(tmp_path / "one.mkv"), MARK)
    first = key_file.read_bytes()
    mark_film(film(tmp_path / "two.mkv"), MARK)
    assert key_file.read_bytes() == first
    if sys.platform != "win32":
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"\x00" * 100],
)
def test_a_key_that_cannot_be_used_is_said_and_the_film_stays(
    tmp_path: Path, key_file: Path, content: bytes
) -> None:
    key_file.write_bytes(content)
    path = film(tmp_path / "out.mp4")
    whole = path.read_bytes()
    with pytest.raises(UserError, match=r"cannot be signed.*--no-c2pa"):
        mark_film(path, MARK)
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


def test_a_library_that_cannot_be_imported_is_said_and_the_film_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "out.mp4")
    whole = path.read_bytes()
    broken = tmp_path / "packages" / "c2pa"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('no native library for this system')")
    monkeypatch.syspath_prepend(broken.parent)
    for name in [one for one in sys.modules if one.partition(".")[0] == "c2pa"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        UserError,
        match=r"cannot be imported: no native library.*the film itself is whole.*--no-c2pa",
    ):
        mark_film(path, MARK)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_that_has_gone_cannot_be_marked(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UserError, match=r"could not be marked.*No such file"):
        mark_film(tmp_path / f"out{suffix}", MARK)
    assert not list(tmp_path.iterdir())


def test_recordings_are_marked_once_they_have_their_name(tmp_path: Path) -> None:
    path = tmp_path / "me.mp4"
    sink = RecordingSink(path, fps=25, finished=lambda finished: mark_film(finished, MARK))
    for k in range(5):
        sink.write(DrawnFrame(np.full((64, 64, 3), 40 * k, np.uint8), False, k / 25, None, k + 1))
    sink.close()
    state, assertions = manifest(path)
    assert state == "Valid"
    check(assertions)
    assert len(list(open_film(path).frames())) == 5


@pytest.mark.slow
def test_drive_marks_its_film_unless_told_not_to(tmp_path: Path) -> None:
    picture = np.ascontiguousarray(skimage.data.astronaut()[:256, 60:380])
    source = tmp_path / "in.mp4"
    with film_writer(source, width=320, height=256, rate=Fraction(25)) as writer:
        for _ in range(3):
            writer.write(picture)
    save_avatar(tmp_path / "me.perse", AVATAR)
    words = ["drive", str(tmp_path / "me.perse"), str(source), "-o"]
    assert cli.main([*words, str(tmp_path / "marked.mp4")]) == 0
    check(manifest(tmp_path / "marked.mp4")[1])
    assert cli.main([*words, str(tmp_path / "plain.mp4"), "--no-c2pa"]) == 0
    with pytest.raises(c2pa.C2paError.ManifestNotFound):
        c2pa.Reader(str(tmp_path / "plain.mp4"))
