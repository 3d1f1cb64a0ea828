"""`perse-live live` as a user runs it: a separate process, with a film for a camera."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from live_avatars import dressable_avatar
from running_session import PATIENCE, own_threads, scene, until

from perse_live import cli
from perse_live.avatar import load_avatar, save_avatar
from perse_live.cli.console import logged_warnings
from perse_live.errors import UserError
from perse_live.film.reader import open_film
from perse_live.film.writer import film_writer
from perse_live.marking.mark import read_side_file
from runtime.live.run import parse_size
from runtime.live.session import LiveSession

_START_SECONDS = 120.0  # a first start compiles


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an avatar and a film of a face."""
    path = tmp_path_factory.mktemp("live")
    save_avatar(path / "me.perse", dressable_avatar(gaussians=12_000))
    with film_writer(path / "face.mp4", width=320, height=240, rate=Fraction(25)) as writer:
        for shift in range(40):
            writer.write(scene(shift=shift // 2))
    return path


@dataclass
class Running:
    """A live session in a process."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=PATIENCE) as reply:
            return json.load(reply)

    def act(self, **action: object) -> Any:
        body = json.dumps(action).encode()
        request = urllib.request.Request(
            f"{self.url}api/action", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return json.load(reply)

    def served_recording(self) -> bytes:
        """What the page's link to the last recording gives."""
        asked = urllib.request.Request(f"{self.url}recording", b"", method="POST")
        with urllib.request.urlopen(asked, timeout=PATIENCE) as reply:
            address = json.load(reply)["address"]
        with urllib.request.urlopen(f"{self.url}{address[1:]}", timeout=PATIENCE) as reply:
            return reply.read()

    def ends(self) -> tuple[int, str]:
        """Its exit code and all that it complained about."""
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors


def environment(folder: Path) -> dict[str, str]:
    """Without the screen and the settings of whoever runs the tests."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    }
    return variables | {
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PERSE_LIVE_LIBRARY": str(folder / "library"),
    }


@contextlib.contextmanager
def live(
    folder: Path, *options: str, avatars: Sequence[str] = ("me.perse",)
) -> Generator[Running, None, None]:
    """A session that is ready."""
    command = [
        sys.executable,
        "-m",
        "perse_live.cli",
        "live",
        *avatars,
        "--port",
        "0",
        "--no-browser",
        "--no-hotkeys",
        *(() if "--size" in options else ("--size", "128")),
        *options,
    ]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: queue.Queue[str] = queue.Queue()
    lines: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            said.put(line.rstrip())
        said.put("")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        first = said.get(timeout=_START_SECONDS)
        if not first:
            _, errors = process.communicate(timeout=PATIENCE)
            raise AssertionError(f"it did not start: {errors}")
        found = re.fullmatch(r"ready: (http://127\.0\.0\.1:\d+/)", first)
        assert found, first
        yield Running(process, found[1], lines)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(PATIENCE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "ending",
    [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)],
)
def test_a_session_from_ready_to_the_signal_that_ends_it(
    folder: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    recording = tmp_path / "out.mp4"
    with live(
        folder, "--camera", "face.mp4", "--record", str(recording), "--background", "photo"
    ) as session:
        until(lambda: session.get("api/state")["face"] == "tracked")
        state = session.get("api/state")
        assert state["avatars"] == ["me"]
        assert state["source"] == {"name": "face.mp4", "kind": "file", "problem": ""}
        assert state["background"] == "photo"
        assert state["size"] == [128, 128]
        assert state["recording"]["path"] == "out.mp4"
        assert state["sinks"] == [{"name": "recording out.mp4", "problem": ""}]
        assert (
            session.act(action="attribute", name="hair-copper", weight=1)["attributes"][0]["target"]
            == 1
        )
        with pytest.raises(urllib.error.HTTPError, match="400"):
            session.act(action="background", background=str(folder / "me.perse"))
        until(lambda: session.get("api/stats")["stages"]["track"]["per_second"] > 1)
        until(lambda: session.get("api/state")["recording"]["seconds"] > 1)
        session.process.send_signal(ending)
        code, errors = session.ends()
    assert (code, errors) == (0, "")
    assert session.lines == [session.lines[0]], "nothing is printed but where the page is"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert open_film(recording).width == 128
    assert len(list(open_film(recording).frames())) > 5


@pytest.mark.slow
def test_impatience_does_not_cut_the_recording_short(folder: Path, tmp_path: Path) -> None:
    with live(folder, "--camera", "none", "--record", str(tmp_path / "out.mkv")) as session:
        until(lambda: session.get("api/state")["recording"]["seconds"] > 1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            session.process.send_signal(number)
        code, errors = session.ends()
    assert (code, errors) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv", "out.mkv.mark.json"]
    assert "avatar" in str(read_side_file(tmp_path / "out.mkv")["assertions"])
    assert len(list(open_film(tmp_path / "out.mkv").frames())) > 5


@pytest.mark.slow
def test_a_signal_while_it_opens_ends_it_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: LiveSession, timeout: float) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(timeout)

    before = own_threads()
    monkeypatch.setattr(LiveSession, "wait_for_picture", interrupted)
    words = [
        "live",
        str(folder / "me.perse"),
        "--camera",
        "none",
        "--no-browser",
        "--no-hotkeys",
        "--port",
        "0",
        "--size",
        "128",
    ]
    assert cli.main(words) == 1
    assert capsys.readouterr() == ("", "perse-live: interrupted\n")
    assert own_threads() == before


def test_what_goes_wrong_meanwhile_is_a_line_like_all_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with logged_warnings():
        logging.getLogger("runtime.live.feeds").warning("camera 0\nis gone")
        logging.getLogger("aioice.ice").warning("something that helps nobody")
    logging.getLogger("runtime.live.feeds").warning("after the end")
    assert "perse-live: camera 0 is gone\n" in (said := capsys.readouterr().err)
    assert "helps nobody" not in said


@pytest.mark.slow
def test_it_ends_by_itself_with_the_film_or_after_its_time(folder: Path) -> None:
    for options in (
        ("--camera", "face.mp4", "--once"),
        ("--camera", "none", "--seconds", "0.5", "--codec", "h264"),
    ):
        with live(folder, *options) as session:
            assert session.ends() == (0, "")


@pytest.mark.slow
def test_two_avatars_thinned_out_and_a_badge_taken_off(folder: Path) -> None:
    with live(
        folder,
        "--camera",
        "none",
        "--max-gaussians",
        "2500",
        "--badge",
        "off",
        "--badge-reason",
        "a test",
        "--fps",
        "20",
        "--size",
        "192x128",
        avatars=("me.perse", "me.perse"),
    ) as session:
        state = session.get("api/state")
        assert (state["avatars"], state["size"], state["target_fps"]) == (
            ["me", "me"],
            [192, 128],
            20,
        )
        assert state["badge"] == {"place": "off", "reason": "a test"}
        assert state["face"] == "none"
        assert session.act(action="avatar", number=2)["avatar"] == 2
        session.process.terminate()
        assert session.ends()[0] == 0


@pytest.mark.slow
def test_the_terminal_that_closes_its_input_ends_nothing(folder: Path) -> None:
    with live(folder, "--camera", "none") as session:  # its input is at its end from the start on
        for _ in range(3):
            assert session.get("api/state")["avatar"] == 1
        assert session.process.poll() is None


# ----- what cannot be done is one line, and 2


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("perse-live: ") and captured.err.count("\n") == 1, captured.err
    return captured.err


@pytest.fixture
def alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the folder of the avatar, with no settings of anybody."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    return folder


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "no avatar is named: give a .perse file"),
        (["nowhere.perse"], "nowhere.perse: there is no such file"),
        (["me.perse", "nowhere.perse"], "nowhere.perse: there is no such file"),
        (["face.mp4"], "face.mp4"),
        (["me.perse", "--size", "large"], "the size 'large' is not understood"),
        (["me.perse", "--size", "64"], "out of range"),
        (["me.perse", "--size", "1280x"], "not understood"),
        (["me.perse", "--badge", "off"], "--badge-reason"),
        (["me.perse", "--badge", "off", "--badge-reason", "  "], "--badge-reason"),
        (["me.perse", "--badge", "middle"], "middle"),
        (["me.perse", "--codec", "av1"], "av1"),
        (["me.perse", "--publish", "example.org"], "--publish takes the address of a WHIP server"),
        (["me.perse", "--publish-token", "x"], "no address: add --publish URL"),
        (
            ["me.perse", "--publish", "http://[::1]/", "--publish-token-file", "nowhere.txt"],
            "nowhere.txt is not a file: --publish-token-file takes",
        ),
        (
            ["me.perse", "--camera", "none", "--publish", "http://127.0.0.1:9/whip"],
            "127.0.0.1:9 cannot be reached (Connection refused)",
        ),
        (["me.perse", "--settings", "nowhere.toml"], "nowhere.toml: no such file"),
        (
            ["me.perse", "--camera", "nowhere.mp4"],
            "no camera 'nowhere.mp4', and no file of that name",
        ),
        (["me.perse", "--camera", "me.perse"], "me.perse"),
        (["me.perse", "--camera", "99"], "99"),
        (["me.perse", "--camera", "/dev/nothing"], "/dev/nothing"),
        (["me.perse", "--camera", "vmc:99999"], "99999"),
        (
            ["me.perse", "--camera", "none", "--background", "nowhere.png"],
            "the background 'nowhere.png' is neither",
        ),
        (["me.perse", "--camera", "none", "--port", "99999"], "port 99999"),
        (["me.perse", "--camera", "none", "--token", "short"], "the token is too short"),
        (["me.perse", "--camera", "none", "--key", "key.pem"], "--key without --cert"),
        (["me.perse", "--camera", "none", "--ice", "http://example.org"], "http://example.org"),
        (["me.perse", "--camera", "none", "--record", "out.avi"], "cannot record to out.avi"),
        (
            ["me.perse", "--camera", "none", "--record", "nowhere/out.mp4"],
            "cannot write nowhere/out.mp4",
        ),
        (["me.perse", "--camera", "none", "--fps", "0"], "fps"),
        (["me.perse", "--camera", "none", "--fps", "-5"], "fps"),
        (["me.perse", "--camera", "none", "--fps", "nan"], "fps"),
        (["me.perse", "--camera", "none", "--fps", "100000"], "fps"),
        (["me.perse", "--camera", "none", "--bitrate", "-1"], "bitrate"),
        (["me.perse", "--camera", "none", "--max-gaussians", "0"], "max-gaussians"),
        (["me.perse", "--camera", "none", "--seconds", "-1"], "seconds"),
        (
            ["me.perse", "--camera", "none", "--virtual-camera", "--device", "/dev/nothing"],
            "/dev/nothing",
        ),
    ],
)
def test_a_wrong_option_is_one_line(
    alone: Path, words: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in alone.iterdir())
    threads = set(threading.enumerate())
    if words and "--seconds" not in words:
        # So that a mistake of the program does not last for ever
        words = [*words, "--seconds", "1"]
    port = [] if "--port" in words or not words else ["--port", "0"]
    assert cli.main(["live", *words, *port, "--no-browser", "--no-hotkeys"]) == 2
    assert what in one_line(capsys)
    assert sorted(path.name for path in alone.iterdir()) == before, "nothing is left"
    assert {
        thread for thread in threading.enumerate() if not thread.name.startswith("splat")
    } <= threads


def test_a_port_in_use_is_said(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert (
            cli.main(
                [
                    "live",
                    "me.perse",
                    "--camera",
                    "none",
                    "--port",
                    str(port),
                    "--no-browser",
                    "--no-hotkeys",
                ]
            )
            == 2
        )
    assert str(port) in one_line(capsys)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", (512, 512)),
        ("1280x720", (1280, 720)),
        ("129", (128, 128)),
        ("1920", (1920, 1920)),
        ("301x201", (300, 200)),
    ],
)
def test_sizes(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "x", "127", "1921", "512x", "512x100", "512X512", "99999", "5 12", "-512", "1e3"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UserError, match="size"):
        parse_size(text)


# ----- demo


@pytest.mark.slow
def test_the_demo_ends_in_the_live_page(tmp_path: Path) -> None:
    here, library = tmp_path / "here", tmp_path / "library"
    here.mkdir()
    library.mkdir()
    (library / "Astronaut.perse").write_text("something of mine")
    command = [
        sys.executable,
        "-m",
        "perse_live.cli",
        "demo",
        "--no-browser",
        "--port",
        "0",
        "--seconds",
        "2",
    ]
    done = subprocess.run(
        command,
        cwd=here,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"ready: http://127\.0\.0\.1:\d+/", lines[-1])
    assert list(here.iterdir()) == []
    assert sorted(path.name for path in library.iterdir()) == [
        "Astronaut 2.perse",
        "Astronaut.perse",
    ]
    assert (library / "Astronaut.perse").read_text() == "something of mine"
    avatar = load_avatar(library / "Astronaut 2.perse")
    assert avatar.provenance.consent_by.startswith("NASA")
    assert avatar.source.backdrop is not None
