from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from perse_live import cli
from perse_live.avatar import save_avatar
from perse_live.cli.program import TRACEBACK_VARIABLE
from perse_live.cli.shared import without_offline
from perse_live.errors import UserError
from toys import toy_avatar

COMMANDS = (
    "studio",
    "demo",
    "build",
    "batch",
    "drive",
    "render",
    "attribute",
    "live",
    "info",
    "eval",
    "bench",
    "doctor",
    "report",
)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What was complained about: exactly one line on stderr, nothing on stdout."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("perse-live: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.fixture
def avatar_file(tmp_path: Path) -> Path:
    save_avatar(tmp_path / "toy.perse", toy_avatar())
    return tmp_path / "toy.perse"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--help"]) == 0
    assert f"usage: perse-live {command}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("perse-live ")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["paint"], "paint"),
        (["build"], "PHOTO"),
        (["build", "photo.jpg"], "--output"),
        (["build", "photo.jpg", "-o"], "--output"),
        (["drive", "me.perse", "-o", "out.mp4"], "VIDEO"),
        (["info", "me.perse", "you.perse"], "you.perse"),
        (["demo", "--seconds", "long"], "'long'"),
        (["render", "me.perse", "-o", "sheet.png", "--match"], "--match"),
    ],
)
def test_bad_usage_is_one_line_and_2(
    words: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    line = one_line(capsys)
    assert what in line
    assert "--help" in line


def test_a_terminal_that_knows_only_ascii_is_told_the_same() -> None:
    said = [
        subprocess.run(
            [sys.executable, "-m", "perse_live.cli", "info"],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        ).stderr
        for encoding in ("ascii", "utf-8")
    ]
    assert said[0] == said[1]
    assert "AVATAR" in said[0] and "---" not in said[0]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["info", "nowhere.perse"], "nowhere.perse: there is no such file"),
        (["render", "nowhere.perse", "-o", "sheet.png"], "there is no such file"),
        (["demo", "-o", "demo.mp4", "--film-seconds", "1"], "4 to 3600 seconds"),
        (["demo", "-o", "demo.mp4", "--fps", "0"], "choose 10 to 1000"),
        (["demo", "--seconds", "-1"], "--seconds -1 is out of range"),
        (["live"], "no avatar is named: give a .perse file"),
        (["live", "nowhere.perse", "--offline"], "nowhere.perse: there is no such file"),
        (["doctor", "--avatar", "nowhere.perse"], "nowhere.perse: there is no such file"),
        (
            ["drive", "nowhere.perse", "in.mp4", "-o", "out.mp4"],
            "nowhere.perse: there is no such file",
        ),
        (["eval", "--portraits", ".", "--extras", "2"], "leave them out with --portraits"),
        (
            ["eval", "--portraits", ".", "--identity-model", "face.onnx"],
            "leave them out with --portraits",
        ),
        (
            ["bench", "--live", "me.perse", "in.mp4", "--peers"],
            "--live and --peers measure different things",
        ),
        (
            ["bench", "you.perse", "--live", "me.perse", "in.mp4"],
            "--live takes no other avatar: leave you.perse out",
        ),
        (
            ["bench", "you.perse", "--start", "me.perse", "in.mp4"],
            "--start takes no other avatar",
        ),
        (
            ["bench", "you.perse", "--studio", "me.jpg"],
            "--studio takes no other avatar",
        ),
        (["bench", "--studio", "nowhere.jpg", "--seconds", "2"], "--seconds 2 is out of range"),
        (["bench", "--studio", "nowhere.jpg", "--viewers", "2"], "--viewers goes with --live"),
        (["bench", "--engine", "cpu"], "engines are made for one avatar"),
        (["bench", "me.perse", "--peers", "--engine", "cpu"], "do not go with --peers"),
        (["bench", "--unwatched"], "--unwatched goes with --live"),
        (["bench", "me.perse", "--size", "256"], "--size goes with --live"),
        (["build", "photo.jpg", "-o", "me.txt", "--consent"], "name it .perse"),
        (["build", "nowhere.jpg", "-o", "me.perse", "--consent"], "nowhere.jpg: no such file"),
    ],
)
def test_bad_input_is_one_line_and_2(
    words: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    assert what in one_line(capsys)


def test_without_a_terminal_consent_must_be_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.jpg").write_text("not looked at yet")
    assert cli.main(["build", str(tmp_path / "photo.jpg"), "-o", str(tmp_path / "me.perse")]) == 2
    assert "--consent" in one_line(capsys)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo terminals on this system")
@pytest.mark.parametrize(
    ("answer", "asked_on"),
    [
        ("n\n", "without consent"),
        ("\n", "without consent"),
        ("yes\n", "photo.jpg: not a picture"),
    ],
)
def test_on_a_terminal_consent_is_asked_for(tmp_path: Path, answer: str, asked_on: str) -> None:
    (tmp_path / "photo.jpg").write_text("this is no photo")
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "perse_live.cli", "build", "photo.jpg", "-o", "me.perse"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    said = b""
    while process.poll() is None or b"perse-live: " not in said:
        try:
            said += os.read(ours, 1000)
        except OSError:  # Linux: the other end is closed
            break
    os.close(ours)
    assert process.wait() == 2
    assert "Does this person agree?" in said.decode()
    assert asked_on in " ".join(said.decode().split())
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize(
    ("error", "code", "what"),
    [
        (UserError("the file\nis\x1b[2J odd"), 2, "the file is\\x1b[2J odd"),
        (KeyboardInterrupt(), 1, "interrupted"),
        (
            ZeroDivisionError("by zero"),
            1,
            "unexpected ZeroDivisionError: by zero (PERSE_LIVE_TRACEBACK=1",
        ),
        (MemoryError(), 1, "unexpected MemoryError"),
        (
            ImportError("libGL.so.1: cannot open shared object file: No such file"),
            2,
            "library libGL.so.1 is missing: on Debian",
        ),
    ],
)
def test_whatever_goes_wrong_is_one_line(
    error: BaseException,
    code: int,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.delenv(TRACEBACK_VARIABLE, raising=False)
    monkeypatch.setattr("perse_live.avatar.load_avatar", fail)
    assert cli.main(["info", "me.perse"]) == code
    assert what in one_line(capsys)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break in another way there")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [("--help",), ("doctor", "--help")])
def test_a_reader_that_has_enough_is_no_error(words: Sequence[str], unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` does once it has its lines
    with os.fdopen(writing, "wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", "perse_live", *words],
            stdout=output,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_the_traceback_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setenv(TRACEBACK_VARIABLE, "1")
    monkeypatch.setattr("perse_live.avatar.load_avatar", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["info", "me.perse"])


def test_info_tells_who_consented_and_under_which_licences(
    avatar_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["info", str(avatar_file), "--json"]) == 0
    captured = capsys.readouterr()
    content = json.loads(captured.out)
    assert captured.out.count("\n") == 1
    assert captured.err == ""
    assert content["gaussians"] == len(toy_avatar())
    assert content["consent_by"] == "the tests"
    assert content["licences"] == ["CC0-1.0"]
    assert content["bytes"] == avatar_file.stat().st_size
    assert cli.main(["info", str(avatar_file)]) == 0
    assert "the tests" in capsys.readouterr().out


def test_a_damaged_avatar_is_bad_input(
    avatar_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    avatar_file.write_bytes(avatar_file.read_bytes()[:-100])
    assert cli.main(["info", str(avatar_file)]) == 2
    assert "toy.perse" in one_line(capsys)


def test_driving_and_live_start_without_torch() -> None:
    code = (
        "import sys; from perse_live import cli; import perse_live.avatar, perse_live.film.writer, runtime.perform,"
        " runtime.bench.drawing, runtime.live.run, runtime.doctor.trial, runtime.doctor.examination;"
        "sys.exit('torch' in sys.modules or 'anny' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_broken_package_of_the_builder_is_named_with_its_cause() -> None:
    missing = without_offline(ModuleNotFoundError("No module named 'anny'", name="anny"))
    assert 'the package anny, which is not installed: pip install "perse-live[offline]"' in str(
        missing
    )
    broken = without_offline(
        ModuleNotFoundError("Could not import module 'X'.\nAre its requirements installed?")
    )
    assert "None" not in str(broken)
    assert "Could not import module 'X'." in str(broken)
    assert "\n" not in str(broken)


@pytest.mark.parametrize(
    "words",
    [
        ["live", "me.perse", "--ices", "turn:me:s3cret@host"],
        ["live", "me.perse", "--tokens", "s3cret"],
        ["live", "me.perse", "--fps", "turn:me:s3cret@host"],
    ],
)
def test_usage_errors_show_no_credentials(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    assert "s3cret" not in one_line(capsys)
