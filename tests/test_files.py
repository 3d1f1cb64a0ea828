from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from perse_live.errors import UserError
from perse_live.files import atomic_output, write_bytes


def test_the_target_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with atomic_output(target) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.suffix == ".mp4"
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_an_exception_leaves_the_earlier_file_and_nothing_else(tmp_path: Path, exception: type[BaseException]) -> None:
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
    with pytest.raises(UserError, match=r"out\.bin: the disk is full"), atomic_output(target), \
            Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit to set")
def test_a_write_that_the_system_cuts_short_leaves_nothing(tmp_path: Path) -> None:
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match="too large"):
            write_bytes(tmp_path / "out.bin", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


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
