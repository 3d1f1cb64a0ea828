from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from limits import files_of_at_most
from perse_live.errors import UserError
from perse_live.files import atomic_folder, atomic_output, write_bytes
from perse_live.private_folder import PrivateFolder


def test_the_target_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with atomic_output(target) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.suffix == ".mp4"
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_an_exception_leaves_the_earlier_file_and_nothing_else(
    tmp_path: Path, exception: type[BaseException]
) -> None:
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with pytest.raises(exception), atomic_output(target) as temporary:
        temporary.write_bytes(b"half")
        raise exception
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_a_full_disk_is_the_users_to_mend(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    with (
        pytest.raises(UserError, match=r"out\.bin: the disk is full"),
        atomic_output(target),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_the_system_cuts_short_leaves_nothing(tmp_path: Path) -> None:
    with files_of_at_most(1000), pytest.raises(UserError, match="too large"):
        write_bytes(tmp_path / "out.bin", bytes(5000))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (ValueError(), ValueError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(28, "No space left on device"), UserError),
    ],
)
def test_a_folder_takes_its_place_only_when_it_is_whole(
    tmp_path: Path, raised: BaseException, seen: type[BaseException]
) -> None:
    target = tmp_path / "deep" / "me.web"
    with atomic_folder(target) as folder:
        (folder / "page").write_text("first")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["me.web"]
    with pytest.raises(seen), atomic_folder(target) as folder:
        (folder / "page").write_text("second")
        raise raised
    assert (target / "page").read_text() == "first"
    with atomic_folder(target) as folder:
        (folder / "page").write_text("third")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["me.web"]
    assert (target / "page").read_text() == "third"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the folder does not exist"):
        write_bytes(tmp_path / "nowhere" / "out.bin", b"")


def test_a_folder_under_the_targets_name_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose another name"), atomic_output(tmp_path):
        raise AssertionError("the block ran")


def test_the_file_has_ordinary_permissions(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    write_bytes(tmp_path / "out.bin", b"x")
    assert os.stat(tmp_path / "out.bin").st_mode == ordinary.stat().st_mode


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_a_replaced_file_keeps_its_permissions_and_is_never_more_open(
    tmp_path: Path, mode: int
) -> None:
    target = tmp_path / "out.bin"
    target.touch()
    target.chmod(mode)
    with atomic_output(target) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) & ~mode & 0o177 == 0
        temporary.write_bytes(b"x")
    assert stat.S_IMODE(target.stat().st_mode) == mode


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_a_private_file_is_its_owners_from_the_start(tmp_path: Path) -> None:
    with atomic_output(tmp_path / "out.bin", private=True) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "out.bin").stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_private_folder_of_a_killed_process_is_deleted_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An uploaded photo does not outlive its session by more than that; folders in use, and those of others, stay."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import os, signal, sys, tempfile; from perse_live.private_folder import PrivateFolder\n"
        "tempfile.tempdir = sys.argv[1]\n"
        "(PrivateFolder('mine-').path / 'photo').write_bytes(b'a face')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    (tmp_path / "mine-without-lock").mkdir()
    used = PrivateFolder("mine-")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (left,) = tmp_path.glob("mine-*/photo")
    assert stat.S_IMODE(left.parent.stat().st_mode) == 0o700
    another = PrivateFolder("mine-")
    assert not left.parent.exists()
    assert used.path.exists() and (tmp_path / "mine-without-lock").exists()
    for folder in (used, another):
        folder.close()
        folder.close()
    assert [path.name for path in tmp_path.iterdir()] == ["mine-without-lock"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("kind", ["output", "folder"])
def test_what_a_killed_process_left_is_swept_after_an_hour(tmp_path: Path, kind: str) -> None:
    code = (
        f"import os, signal, sys; from pathlib import Path; from perse_live.files import atomic_{kind} as atomic\n"
        "with atomic(Path(sys.argv[1])) as temporary:\n"
        "    (temporary / 'a' if temporary.is_dir() else temporary).write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "film.mp4")], check=False)
    (left,) = tmp_path.iterdir()
    others = [
        tmp_path / name
        for name in (
            ".notes.part",
            ".film.0123456789ab.part.mp4.txt.bak",
            "a.0123456789ab.part.mp4",
        )
    ]
    for other in others:
        other.write_bytes(b"not ours")
        os.utime(other, (1, 1))
    write_bytes(tmp_path / "other.bin", b"x")
    assert left.exists(), "it may be written to just now"
    long_ago = time.time() - 4000
    os.utime(left, (long_ago, long_ago))
    write_bytes(tmp_path / "other.bin", b"x")
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "other.bin"])


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows refuses it")
def test_a_file_that_stays_open_elsewhere_is_said_on_windows(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with (
        target.open("rb"),
        pytest.raises(UserError, match="close the program that has the file open"),
    ):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_is_open_for_a_moment_is_replaced_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, whose refusal is made here by the system call alone."""
    target, tries = (
        tmp_path / "out.bin",
        [PermissionError(13, "Access is denied"), PermissionError(13, "Access is denied")],
    )
    really = os.replace

    def replace(source: Path, destination: Path) -> None:
        if tries:
            raise tries.pop()
        really(source, destination)

    monkeypatch.setattr("perse_live.files.os.replace", replace)
    monkeypatch.setattr("perse_live.files.sys.platform", "win32")
    target.write_bytes(b"old")
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]
