"""Marks of live recordings."""

from __future__ import annotations

from pathlib import Path

import pytest
from running_session import told, until

from perse_live.avatar import save_avatar
from perse_live.film.reader import open_film
from perse_live.marking import credential
from runtime.live.actions import Record
from runtime.live.run import LiveOptions, open_live
from runtime.live.settings import Settings
from runtime.web.server import WebConfig
from toys import toy_avatar


@pytest.fixture(autouse=True)
def key_file(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("key") / "signing.pem"
    monkeypatch.setenv(credential.FILE_VARIABLE, str(path))
    return path


@pytest.mark.slow
def test_a_live_recording_that_cannot_be_marked_is_whole_and_the_last_one(
    tmp_path: Path, key_file: Path
) -> None:
    key_file.write_bytes(b"no key")
    save_avatar(tmp_path / "me.perse", toy_avatar())
    options = LiveOptions(
        (tmp_path / "me.perse",),
        camera="none",
        hotkeys=False,
        browser=False,
        width=128,
        height=128,
        record=tmp_path / "me.mkv",
        engine="cpu",
        web=WebConfig(port=0),
    )
    with open_live(options, Settings()) as opened:
        session = opened.session
        session.record_now()
        until(lambda: told(session)["recording"]["seconds"] > 0.5)
        session.act(Record(False))
        until(lambda: session.recorded is not None)
        session.record_now()
        until(lambda: told(session)["recording"]["seconds"] > 0.5)
        session.act(Record(False))
        until(lambda: session.recorded == tmp_path / "me-2.mkv")
        assert told(session)["sinks"] == []
        assert any("cannot be signed" in text for text in told(session)["notices"])
    assert list(open_film(tmp_path / "me-2.mkv").frames())


@pytest.mark.slow
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_mark_of_a_live_recording_replaces_another_file_only_if_told_to(
    tmp_path: Path, overwrite: bool
) -> None:
    save_avatar(tmp_path / "me.perse", toy_avatar())
    (tmp_path / "me.mkv.mark.json").write_text("mine")
    options = LiveOptions(
        (tmp_path / "me.perse",),
        camera="none",
        hotkeys=False,
        browser=False,
        width=128,
        height=128,
        record=tmp_path / "me.mkv",
        overwrite=overwrite,
        engine="cpu",
        web=WebConfig(port=0),
    )
    with open_live(options, Settings()) as opened:
        opened.session.record_now()
        until(lambda: told(opened.session)["recording"]["seconds"] > 0.5)
    assert ((tmp_path / "me.mkv.mark.json").read_text() == "mine") is not overwrite
