from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import socket
import threading
import zipfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from limits import files_of_at_most
from perse_live import assets
from perse_live.assets import (
    ASSETS,
    ArchiveMember,
    Asset,
    Source,
    Url,
    WheelMember,
    asset_path,
    optional_asset_path,
)
from perse_live.errors import UserError

CONTENT = b"a small model" * 1000
TINY = Asset(
    file_name="tiny.bin",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=len(CONTENT),
    licence="CC0-1.0",
    purpose="tests",
)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary cache, no folder of the user's, and a pip that knows only the folder of wheels given to it."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(assets.platformdirs, "user_cache_path", lambda *_, **__: cache)  # pyright: ignore[reportUnknownLambdaType]
    monkeypatch.delenv(assets.FOLDER_VARIABLE, raising=False)
    monkeypatch.delenv(assets.OFFLINE_VARIABLE, raising=False)
    return cache


def add_tiny(monkeypatch: pytest.MonkeyPatch, *sources: Source) -> None:
    monkeypatch.setitem(ASSETS, "tiny", dataclasses.replace(TINY, sources=sources))


def file_source(path: Path, content: bytes) -> Url:
    path.write_bytes(content)
    return Url(path.as_uri())


def wheel_source(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    member: str,
    content: bytes,
    *,
    compressed: bool = False,
) -> WheelMember:
    """A real wheel in a folder that pip is told to look in, instead of at any index."""
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(folder / "tinymodel-1.0-py3-none-any.whl", "w", method) as wheel:
        wheel.writestr(member, content)
        wheel.writestr(
            "tinymodel-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tinymodel\nVersion: 1.0\n",
        )
        wheel.writestr(
            "tinymodel-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("tinymodel-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return WheelMember("tinymodel==1.0", "tinymodel/tiny.bin", 20_000)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_fetched_file_is_kept_and_not_fetched_again(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = tmp_path / "origin.bin"
    add_tiny(monkeypatch, file_source(origin, CONTENT))
    path = asset_path("tiny")
    origin.unlink()
    assert asset_path("tiny") == path
    assert asset_path("tiny", offline=True) == path
    assert path.read_bytes() == CONTENT
    assert files_in(empty_cache) == ["tiny.bin"]


def test_a_download_is_announced_with_name_size_licence_and_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_tiny(monkeypatch, file_source(tmp_path / "origin.bin", CONTENT))
    seen: list[tuple[str, float]] = []
    asset_path("tiny", report=lambda message, fraction: seen.append((message, fraction)))
    message, first = seen[0]
    assert all(part in message for part in ("tiny.bin", "0.0 MB", "CC0-1.0", "origin.bin"))
    fractions = [fraction for _, fraction in seen]
    assert (first, fractions[-1]) == (0.0, 1.0)
    assert fractions == sorted(fractions)


@pytest.mark.parametrize("wrong", [b"", CONTENT[:-1], CONTENT + b"!", CONTENT[:-1] + b"!"])
def test_wrong_bytes_are_an_error_and_never_stay(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, wrong: bytes
) -> None:
    add_tiny(monkeypatch, file_source(tmp_path / "origin.bin", wrong))
    with pytest.raises(UserError, match=r"cannot fetch tiny\.bin .*PERSE_LIVE_ASSETS"):
        asset_path("tiny")
    assert files_in(empty_cache) == []


def test_the_next_source_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(
        monkeypatch,
        Url((tmp_path / "missing").as_uri()),
        file_source(tmp_path / "wrong.bin", CONTENT[::-1]),
        wheel_source(tmp_path, monkeypatch, "tinymodel/tiny.bin", CONTENT),
    )
    assert asset_path("tiny").read_bytes() == CONTENT


@pytest.fixture
def serve() -> Generator[Callable[[bytes], Url]]:
    """Answers as given, byte for byte, on an address of this machine."""
    with contextlib.ExitStack() as stack:

        def address(answer: bytes) -> Url:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def work() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(answer)

            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            return Url(f"http://127.0.0.1:{listener.getsockname()[1]}/tiny.bin")

        yield address


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + CONTENT[:10],
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + CONTENT,
        b"HTTP/1.1 500 Oh\r\n\r\n",
        b"HTTP/1.1 302 Away\r\nLocation: nowhere://x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT + b"more",
    ],
)
def test_after_a_cut_or_corrupt_answer_the_next_source_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[[bytes], Url], answer: bytes
) -> None:
    add_tiny(monkeypatch, serve(answer), file_source(tmp_path / "right.bin", CONTENT))
    assert asset_path("tiny").read_bytes() == CONTENT


def test_after_a_damaged_wheel_the_next_source_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = wheel_source(tmp_path, monkeypatch, "tinymodel/tiny.bin", CONTENT, compressed=True)
    (wheel,) = tmp_path.glob("*.whl")
    content = bytearray(wheel.read_bytes())
    start = content.index(b"tinymodel/tiny.bin") + len(b"tinymodel/tiny.bin")
    content[start : start + 8] = b"\xff" * 8
    wheel.write_bytes(content)
    add_tiny(monkeypatch, source, file_source(tmp_path / "right.bin", CONTENT))
    assert asset_path("tiny").read_bytes() == CONTENT


@pytest.mark.slow
def test_a_tampered_wheel_writes_no_more_than_the_file_may_have(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_tiny(
        monkeypatch,
        wheel_source(tmp_path, monkeypatch, "tinymodel/tiny.bin", bytes(64 << 20), compressed=True),
    )
    # More fails in another way
    with files_of_at_most(4 << 20), pytest.raises(UserError, match="sends more than the expected"):
        asset_path("tiny")
    assert files_in(empty_cache) == []


@pytest.mark.parametrize(
    ("member", "content", "said"),
    [
        ("tiny.bin", CONTENT, None),
        ("other.bin", CONTENT, "does not hold tiny.bin"),
        ("tiny.bin", CONTENT[::-1], "not the expected ones"),
        ("tiny.bin", bytes(8 << 20), "sends more than the expected"),
    ],
)
def test_the_archive_of_a_release_is_a_source_like_the_others(
    tmp_path: Path,
    empty_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    member: str,
    content: bytes,
    said: str | None,
) -> None:
    with zipfile.ZipFile(tmp_path / "models.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
    add_tiny(
        monkeypatch,
        Url((tmp_path / "missing").as_uri()),
        ArchiveMember("tiny.bin", (tmp_path / "models.zip").as_uri(), 1),
    )
    if said is None:
        assert asset_path("tiny").read_bytes() == CONTENT
        return
    with pytest.raises(UserError, match=said):
        asset_path("tiny")
    assert files_in(empty_cache) == []


def test_a_page_in_the_archive_s_place_is_an_error(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models.zip").write_text("<html>sign in</html>", encoding="utf-8")
    add_tiny(monkeypatch, ArchiveMember("tiny.bin", (tmp_path / "models.zip").as_uri()))
    with pytest.raises(UserError, match="the archive is damaged"):
        asset_path("tiny")
    assert files_in(empty_cache) == []


def test_a_wheel_without_the_member_says_so(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_tiny(monkeypatch, wheel_source(tmp_path, monkeypatch, "tinymodel/other.bin", CONTENT))
    with pytest.raises(UserError, match=r"does not hold tinymodel/tiny\.bin"):
        asset_path("tiny")
    assert files_in(empty_cache) == []


def test_what_pip_says_reaches_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel_source(tmp_path, monkeypatch, "tinymodel/tiny.bin", CONTENT)
    add_tiny(monkeypatch, WheelMember("tinymodel==2.0", "tinymodel/tiny.bin", 1))
    with pytest.raises(UserError, match=r"pip says: ERROR: .*tinymodel==2\.0"):
        asset_path("tiny")


def test_a_damaged_cache_mends_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(monkeypatch, file_source(tmp_path / "origin.bin", CONTENT))
    path = asset_path("tiny")
    path.write_bytes(CONTENT[:100])
    assert asset_path("tiny").read_bytes() == CONTENT


def test_the_users_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(monkeypatch)
    (tmp_path / "tiny.bin").write_bytes(CONTENT)
    monkeypatch.setenv(assets.FOLDER_VARIABLE, str(tmp_path))
    assert asset_path("tiny") == tmp_path / "tiny.bin"
    assert optional_asset_path("tiny") == tmp_path / "tiny.bin"


def test_a_wrong_file_in_the_users_folder_is_never_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_tiny(monkeypatch, file_source(tmp_path / "origin.bin", CONTENT))
    (tmp_path / "tiny.bin").write_bytes(CONTENT[::-1])
    monkeypatch.setenv(assets.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match=r"is not the expected tiny\.bin"):
        asset_path("tiny")
    assert (tmp_path / "tiny.bin").exists()


@pytest.mark.parametrize("by_variable", [True, False])
def test_offline_forbids_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_variable: bool
) -> None:
    add_tiny(monkeypatch, file_source(tmp_path / "origin.bin", CONTENT))
    if by_variable:
        monkeypatch.setenv(assets.OFFLINE_VARIABLE, "1")
    with pytest.raises(UserError, match="downloads are forbidden"):
        asset_path("tiny", offline=not by_variable)


def test_a_file_without_sources_is_the_users_to_supply(monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(monkeypatch)
    assert optional_asset_path("tiny") is None
    with pytest.raises(UserError, match="never fetched"):
        asset_path("tiny")


def test_the_table_is_well_formed() -> None:
    assert len({asset.file_name for asset in ASSETS.values()}) == len(ASSETS)
    for asset in ASSETS.values():
        assert len(bytes.fromhex(asset.sha256)) == 32
        assert asset.size > 0
        assert asset.licence
        if asset.sources:
            assert asset.sources[-1] == ArchiveMember(asset.file_name)
        assert all(
            "==" in source.requirement
            for source in asset.sources
            if isinstance(source, WheelMember)
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["face_landmarker", "selfie_segmentation", "hand_landmarker", "sample_portrait"]
)
def test_every_published_wheel_still_holds_its_file(
    name: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tuple(source for source in ASSETS[name].sources if isinstance(source, WheelMember))
    monkeypatch.setitem(ASSETS, name, dataclasses.replace(ASSETS[name], sources=wheels))
    path = asset_path(name)  # verified inside
    assert path.stat().st_size == ASSETS[name].size
    assert files_in(empty_cache) == [ASSETS[name].file_name]
