"""The library of avatars: names, copies, the trash, files that are none."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perse_live.avatar import FORMAT_VERSION, OLDEST_VERSION, load_avatar, save_avatar
from perse_live.container import read_manifest
from perse_live.errors import UserError
from runtime.studio.library import Library, default_library
from runtime.studio.names import clean_name, file_name, free_path
from runtime.studio.store import Preset, StudioStore, preset_of
from toys import toy_avatar


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy") / "toy.perse"
    save_avatar(path, toy_avatar())
    return path


@pytest.fixture
def library(tmp_path: Path, toy: Path) -> Library:
    library = Library(tmp_path / "library")
    library.take_in(toy, "Ada")
    return library


def names(library: Library) -> list[str]:
    return sorted(entry.name for entry in library.entries())


def test_what_is_told_of_an_avatar(library: Library) -> None:
    entry = library.entries()[0]
    assert (entry.name, entry.problem, entry.likeness, entry.warnings) == (
        "Ada",
        "",
        None,
        ("it is only a toy",),
    )
    assert entry.made.startswith("2026-01-01") and entry.bytes == entry.path.stat().st_size
    assert library.get(entry.id) == entry
    assert not entry.path.stat().st_mode & 0o077, "it is somebody's face: for its owner only"


def test_renaming(library: Library) -> None:
    library.duplicate(library.entries()[0].id)
    assert names(library) == ["Ada", "Ada 2"]
    ada = next(entry for entry in library.entries() if entry.name == "Ada")
    with pytest.raises(UserError, match="there is an avatar named ada 2 already"):
        library.rename(ada.id, "ada 2")
    renamed = library.rename(ada.id, "  Grace / Hopper ")
    assert (renamed.name, names(library)) == ("Grace Hopper", ["Ada 2", "Grace Hopper"])
    with pytest.raises(UserError, match="renamed or deleted in another window"):
        library.get(ada.id)
    assert library.rename(renamed.id, "grace hopper").name == "grace hopper"


def test_a_deleted_avatar_comes_back(library: Library) -> None:
    ada = library.entries()[0]
    content = ada.path.read_bytes()
    mark = library.delete(ada.id)
    assert library.entries() == []
    assert Library(library.folder).restore(mark).path.read_bytes() == content
    with pytest.raises(UserError, match="not in the trash"):
        library.restore(mark)
    with pytest.raises(UserError, match="not in the trash"):
        library.restore("../library")


def test_a_deleted_avatar_does_not_replace_a_new_one(library: Library, toy: Path) -> None:
    mark = library.delete(library.entries()[0].id)
    library.take_in(toy, "Ada")
    assert library.restore(mark).name == "Ada 2"


def written_as(version: int, toy: Path, target: Path) -> None:
    """The toy's file, saying that it is of another version of the format."""
    content = toy.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    manifest = json.loads(header["__metadata__"]["manifest"])
    header["__metadata__"]["manifest"] = json.dumps({**manifest, "format_version": version})
    text = json.dumps(header).encode()
    target.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])


def test_an_older_file_is_upgraded(library: Library, toy: Path) -> None:
    written_as(OLDEST_VERSION, toy, library.folder / "Older.perse")
    older = next(entry for entry in library.entries() if entry.name == "Older")
    assert older.upgradable and not library.entries()[-1].upgradable
    upgraded = library.upgrade(older.id)
    assert (upgraded.id, upgraded.upgradable, upgraded.problem) == (older.id, False, "")
    assert read_manifest(upgraded.path)["format_version"] == FORMAT_VERSION
    assert len(load_avatar(upgraded.path)) == len(load_avatar(toy))
    written_as(OLDEST_VERSION - 1, toy, library.folder / "Oldest.perse")
    oldest = next(entry for entry in library.entries() if entry.name == "Oldest")
    with pytest.raises(UserError, match="old format version"):
        library.upgrade(oldest.id)


def test_a_kept_photo_goes_where_its_avatar_goes(library: Library) -> None:
    ada = library.entries()[0]
    assert ada.photo is None
    photo = library.photo_path("Ada")
    photo.write_bytes(b"a photo")
    assert library.entries()[0].photo == photo
    grace = library.rename(ada.id, "Grace")
    assert grace.photo == library.photo_path("Grace") and not photo.exists()
    mark = library.delete(grace.id)
    assert not list(photo.parent.iterdir()), "what is deleted shows nobody any more"
    back = library.restore(mark)
    assert back.photo is not None and back.photo.read_bytes() == b"a photo"


def test_files_of_other_versions_and_foreign_ones_are_shown_with_what_is_wrong(
    library: Library, toy: Path
) -> None:
    for name, version in (
        ("older", OLDEST_VERSION - 1),
        ("oldest", OLDEST_VERSION),
        ("newer", FORMAT_VERSION + 1),
    ):
        written_as(version, toy, library.folder / f"{name}.perse")
    (library.folder / "foreign.perse").write_bytes(b"PK\x03\x04 a foreign file, renamed")
    (library.folder / "notes.txt").write_text("no avatar")
    assert {entry.name: entry.problem for entry in library.entries()} == {
        "Ada": "",
        "older": "old",
        "oldest": "",
        "newer": "new",
        "foreign": "damaged",
    }
    with pytest.raises(UserError, match="not a usable perse-live avatar file"):
        library.take_in(library.folder / "foreign.perse", "Foreign")
    assert "Foreign" not in names(library), "nothing of a refused file stays"


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user"
)
def test_a_library_that_may_only_be_read(library: Library) -> None:
    library.folder.chmod(0o500)
    try:
        assert not library.writable and len(library.entries()) == 1
        with pytest.raises(UserError, match="cannot write"):
            library.duplicate(library.entries()[0].id)
    finally:
        library.folder.chmod(0o700)


def test_a_library_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--library"):
        Library(tmp_path / "file")


def test_looks_are_kept_in_the_order_that_is_asked_for(library: Library) -> None:
    ada = library.entries()[0]
    with pytest.raises(UserError, match="has no look 'hat'"):
        library.with_looks(ada.id, ["hat"])
    assert load_avatar(library.with_looks(ada.id, []).path).attributes == ()


def test_the_usual_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PERSE_LIVE_LIBRARY", str(tmp_path))
    assert default_library() == tmp_path
    monkeypatch.delenv("PERSE_LIVE_LIBRARY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_library().name == "avatars"


@given(st.text())
def test_a_clean_name_is_a_valid_file_name(text: str) -> None:
    try:
        name = clean_name(text)
    except UserError:
        return
    assert clean_name(name) == name and name == name.strip() and not name.startswith(".")
    assert len(name) <= 60 and Path(name).name == name and not set(name) & set('<>:"/\\|?*\0\n')


@given(st.lists(st.sampled_from(["Ada", "ada 2", "ADA 3", "Ada 4"])))
def test_a_free_path_is_not_taken(taken: list[str]) -> None:
    stem = free_path(Path("nowhere"), "Ada", taken).stem
    assert stem.casefold() not in {one.casefold() for one in taken}


@given(st.text(max_size=90))
def test_a_file_name_stays_in_its_folder(text: str) -> None:
    name = file_name(text)
    assert Path(name).name == name and name not in ("", ".", "..")
    assert clean_name(Path(name).stem) == Path(name).stem


def test_a_file_name_is_the_users() -> None:
    assert file_name("45-m7 di.jpg") == "45-m7 di.jpg"
    assert file_name("../../etc/passwd") == "passwd"
    assert file_name(":::") == "photo"


def test_what_is_remembered(tmp_path: Path) -> None:
    kept = StudioStore(tmp_path)
    kept.remember(background="photo", mirror=True)
    kept.save_preset(Preset("Party", "p", {"hat-wide": 1.0}))
    kept.save_preset(
        preset_of({"name": "party", "key": "", "weights": {"beard-full": 0.5, "hat-cap": 0}})
    )
    again = StudioStore(tmp_path)
    assert again.stage == {"background": "photo", "mirror": True}
    assert again.presets() == [Preset("party", "", {"beard-full": 0.5})]
    again.delete_preset("party")
    assert StudioStore(tmp_path).presets() == []
    (tmp_path / "studio.json").write_text("{")
    assert StudioStore(tmp_path).stage == {}


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"name": "x"},
        {"name": "x", "weights": []},
        {"name": "x", "weights": {"a b": 1}},
        {"name": "x", "weights": {"a": 2}},
        {"name": "x", "weights": {"a": True}},
        {"name": "", "weights": {}},
        {"name": "x", "key": "ab", "weights": {}},
    ],
)
def test_what_is_no_preset(message: dict[str, object]) -> None:
    with pytest.raises(UserError):
        preset_of(message)
