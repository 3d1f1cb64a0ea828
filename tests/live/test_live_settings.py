from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import pytest
from PIL import Image

from perse_live.errors import UserError
from runtime.live.actions import Hide, SetAttribute, SetBadge
from runtime.live.gains import Gains
from runtime.live.run import web_config
from runtime.live.settings import Settings, default_config_text, load_settings, settings_path
from runtime.smoothing import OneEuroConfig
from runtime.web.codec import EncodeConfig
from runtime.web.ice import IceServer
from runtime.web.server import WebConfig


def load(folder: Path, text: str) -> Settings:
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file)


def test_the_example_changes_nothing_and_neither_does_its_every_setting(tmp_path: Path) -> None:
    text = default_config_text()
    assert load(tmp_path, text) == Settings()
    uncommented = re.sub(r"^#(?! )", "", text, flags=re.MULTILINE)
    assert load(tmp_path, uncommented) == Settings()
    for field in (
        "target_fps = 30",
        '"1" = "attribute 1"',
        '"<f9>" = "hide"',
        'place = "bottom-right"',
        "cutoff_hz",
    ):
        assert field in uncommented
    assert max(map(len, text.splitlines())) <= 130


def test_a_missing_file_is_the_defaults_unless_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_settings() == Settings()
    with pytest.raises(UserError, match="no such file"):
        load_settings(tmp_path / "mine.toml")


def test_the_users_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    file = settings_path()
    assert file.is_relative_to(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_text("target_fps = 24")
    assert load_settings().target_fps == 24


def test_every_setting_can_be_changed(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """\ufeff
        background = "#00FF00"
        target_fps = 60
        dead_zone = 0
        codec = "h264"
        bitrate = 1_500_000
        ice_servers = ["stun:stun.example.org:3478", "turns:me:p%40ss@[2001:db8::1]?transport=tcp"]
        smoothing = {cutoff_hz = 3, speed_gain = 0.5}
        [gains]
        mouth = 1.5
        [badge]
        place = "off"
        reason = "a private rehearsal"
        [keys.plain]
        x = "hide"
        1 = "attribute 2"
        r = ""
        [keys.global]
        "<f10>" = "hide"
    """,
    )
    keys = settings.keys
    assert dataclasses.replace(settings, keys=Settings().keys) == Settings(
        gains=Gains(mouth=1.5),
        smoothing=OneEuroConfig(cutoff_hz=3.0, speed_gain=0.5),
        dead_zone=0.0,
        background="00ff00",
        badge=SetBadge("off", "a private rehearsal"),
        target_fps=60,
        encoding=EncodeConfig(codec="h264", bitrate=1_500_000),
        ice_servers=(
            IceServer("stun:stun.example.org:3478"),
            IceServer("turns:[2001:db8::1]?transport=tcp", "me", "p@ss"),
        ),
    )
    assert keys.terminal_actions()["x"] == Hide()
    assert keys.terminal_actions()["1"] == SetAttribute("2")
    assert "r" not in keys.plain
    assert keys.global_actions()["<f10>"] == Hide()
    assert load(tmp_path, "[smoothing]\non = false").smoothing is None


def test_a_picture_is_found_next_to_the_settings_file(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "beach.png")
    assert load(tmp_path, 'background = "beach.png"').background == str(tmp_path / "beach.png")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("target_fps = 3", ["target_fps is 3", "from 5 to 120"]),
        ("target_fps = 30.0", ["target_fps is 30.0", "a whole number"]),
        ("target_fps = true", ["target_fps is True", "a whole number"]),
        ("dead_zone = nan", ["dead_zone is nan", "from 0 to 0.5"]),
        ("dead_zone = 1" + 400 * "0", ["a number of 401 characters"]),
        ("target_fps = " + 5000 * "9", ["a number of 5000 characters"]),
        ("target_fps = 0x" + 5000 * "f", ["a number of 5002 characters"]),
        ("a" + ".a" * 9 + " = 1", ["a dotted key has more than 8 parts"]),
        ("[" + " . ".join(["'a'"] * 20_000) + "]", ["larger than the 64 KiB"]),
        ("[" + " . ".join(["'a'"] * 9_000) + "]", ["a dotted key has more than 8 parts"]),
        ("fps = 30", ["unknown key fps", "target_fps"]),
        ("[gains]\nlips = 1", ["unknown key gains.lips", "gains.mouth"]),
        ("[gains]\nmouth = 3", ["gains.mouth is 3", "from 0 to 2"]),
        ("gains = 1", ["gains is 1", "a table, [gains]"]),
        ("smoothing = false", ["smoothing is False", "a table, [smoothing]"]),
        ('[smoothing]\non = "no"', ["smoothing.on is 'no'", "true or false"]),
        ("[smoothing]\ncutoff_hz = 0", ["smoothing.cutoff_hz is 0", "from 0.05 to 60"]),
        ('codec = "av1"', ["codec is 'av1'", "vp8, h264"]),
        ("bitrate = 3", ["bitrate is 3", "from 100000 to 50000000"]),
        (
            'background = "beach.png"',
            ["background is 'beach.png'", "RRGGBB", "picture that exists"],
        ),
        ('background = ""', ["background is ''", "RRGGBB"]),
        ('[badge]\nplace = "middle"', ["badge.place is 'middle'", "bottom-right"]),
        ('[badge]\nplace = "off"', ["badge", "needs a reason"]),
        ('ice_servers = "stun:x"', ["ice_servers", "a list"]),
        ('ice_servers = ["http://x"]', ["ice_servers: 'http://x'", "stun:"]),
        (
            'ice_servers = ["turn:turn.example.org"]',
            ["ice_servers: 'turn:turn.example.org'", "turn:USER:PASSWORD@"],
        ),
        ('[keys]\nhide = "h"', ["unknown key keys.hide", "keys.global, keys.plain"]),
        ('[keys.plain]\n1 = "atribute 1"', ["keys.plain", "'1'", "unknown action 'atribute 1'"]),
        ("[keys.plain]\n1 = 1", ["keys.plain", "'1'", "must be a text"]),
        ('[keys.global]\n"<ctrl>+<shift>+1" = "hide"', ["keys.global", "never fires"]),
        ("target_fps = \n", ["not TOML", "line 1"]),
        ("a = 1\na = 2", ["not TOML"]),
    ],
)
def test_a_mistake_is_one_line_that_says_where_and_what_is_allowed(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message
    for part in [str(tmp_path / "config.toml"), *parts]:
        assert part in message


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"target_fps = 30 # \xff", "not UTF-8"),
        (b"#" * ((1 << 16) + 1), "larger than the 64 KiB"),
        (b"a=" + b"[" * 50_000, "nested more than 16 deep"),
    ],
)
def test_files_that_are_no_settings(tmp_path: Path, data: bytes, reason: str) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(data)
    with pytest.raises(UserError, match=reason):
        load_settings(file)


@pytest.mark.parametrize(
    "server",
    [
        '"turn:me:s3cret"',
        '"turn:me:s3cret@"',
        '"turns:me:s3cret@host?transport=sctp"',
        '"turn:me:s3cret@a@host"',
        '"stun:me:s3cret@host"',
        '"http://me:s3cret@host"',
        '{url = "turn:host", credential = "s3cret"}',
        '["turn:me:s3cret@host"]',
    ],
)
def test_no_message_shows_credentials(tmp_path: Path, server: str) -> None:
    with pytest.raises(UserError, match="ice_servers") as caught:
        load(tmp_path, f"ice_servers = [{server}]")
    assert "s3cret" not in str(caught.value)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="not an ordinary file"):
        load_settings(tmp_path / "pipe")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_settings(tmp_path)


def test_servers_of_the_file_and_of_the_command_line_are_the_same(tmp_path: Path) -> None:
    text = "turn:me:s3cret@turn.example.org"
    settings = load(tmp_path, f'ice_servers = ["{text}"]')
    of_file = web_config(WebConfig(), settings, codec=None, bitrate=None, ice=())
    of_option = web_config(WebConfig(), Settings(), codec=None, bitrate=None, ice=(text,))
    assert of_file == of_option and of_file.ice_servers == (
        IceServer("turn:turn.example.org", "me", "s3cret"),
    )
    assert "s3cret" not in repr(of_file)
    with pytest.raises(UserError, match="is not an ICE server"):
        web_config(WebConfig(), Settings(), codec=None, bitrate=None, ice=("nonsense",))
