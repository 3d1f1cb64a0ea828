from __future__ import annotations

import pytest

from perse_live.errors import UserError
from runtime.hotkeys.keymap import GLOBAL_KEYS, PLAIN_KEYS, KeyMap, global_key, key_map, plain_key
from runtime.live.actions import (
    ClearAttributes,
    Hide,
    SetAttribute,
    SwitchAvatar,
    parse_action_text,
)


def test_every_default_key_is_spelt_normally_and_does_something_that_exists() -> None:
    for key, action in PLAIN_KEYS.items():
        assert plain_key(key) == key
        parse_action_text(action)
    for key, action in GLOBAL_KEYS.items():
        assert global_key(key) == key
        parse_action_text(action)
    assert key_map({}, {}, where="defaults") == KeyMap()


def test_the_terminal_takes_only_characters() -> None:
    actions = KeyMap().terminal_actions()
    assert actions["3"] == SetAttribute("3")
    assert actions["h"] == Hide()
    assert all(len(key) == 1 for key in actions)
    assert KeyMap().global_actions()["<ctrl>+<alt>+0"] == ClearAttributes()


def test_a_users_keys_add_replace_and_take_away() -> None:
    keys = key_map(
        {"H": "mirror", "f5": "avatar 5", "r": ""},
        {"<ALT>+<Ctrl>+H": "", "<f10>": "hide"},
        where="config.toml",
    )
    assert keys.plain["h"] == "mirror"
    assert parse_action_text(keys.plain["F5"]) == SwitchAvatar(5)
    assert "r" not in keys.plain
    assert "<ctrl>+<alt>+h" not in keys.everywhere
    assert keys.global_actions()["<f10>"] == Hide()
    assert keys.plain["1"] == "attribute 1"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("<alt>+<ctrl>+1", "<ctrl>+<alt>+1"),
        ("<F8>", "<f8>"),
        ("<ctrl>+<alt>++", "<ctrl>+<alt>++"),
        ("<shift>+<f9>", "<shift>+<f9>"),
        ("<ctrl>+<shift>+H", "<ctrl>+<shift>+h"),
        ("<cmd>+<space>", "<cmd>+<space>"),
    ],
)
def test_spellings_of_global_keys(text: str, normal: str) -> None:
    assert global_key(text) == normal


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("h", "while you type"),
        ("<shift>+h", "while you type"),
        ("<space>", "while you type"),
        ("<ctrl>+<shift>+1", "never fires"),
        ("<ctrl>+<alt>", "there is no key <alt>"),
        ("<ctrl>+<ctrl>+1", "each once"),
        ("<hyper>+1", "modifiers are"),
        ("ctrl+1", "write"),
        ("<f21>", "there is no key <f21>"),
        ("", "write"),
    ],
)
def test_global_keys_that_cannot_work(text: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        global_key(text)


@pytest.mark.parametrize("text", ["", " ", "ab", "F21", "F0", "\x1b", "\n"])
def test_plain_keys_that_cannot_be_pressed(text: str) -> None:
    with pytest.raises(UserError, match="one visible character or F1 to F20"):
        plain_key(text)


@pytest.mark.parametrize(
    ("plain", "everywhere", "parts"),
    [
        ({"1": "atribute 1"}, {}, ["my.toml", "keys.plain", "'1'", "unknown action"]),
        ({"1": 3}, {}, ["keys.plain", "'1'", "must be a text"]),
        ({"a": "hide", "A": "mirror"}, {}, ["keys.plain", "'A'", "same key as 'a'"]),
        ({}, {"<ctrl>+<shift>+1": "hide"}, ["keys.global", "never fires", "<ctrl>+<alt>+1"]),
        ({"f8": "hide"}, {}, ["F8", "<f8>", "act twice"]),
    ],
)
def test_a_wrong_binding_is_one_line_that_names_it(
    plain: dict[str, object], everywhere: dict[str, object], parts: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        key_map(plain, everywhere, where="my.toml")
    message = str(caught.value)
    assert "\n" not in message
    for part in ["my.toml", *parts]:
        assert part in message


def test_an_f_key_may_move_from_the_system_to_the_page() -> None:
    keys = key_map({"F8": "record"}, {"<f8>": ""}, where="my.toml")
    assert keys.plain["F8"] == "record"
    assert "<f8>" not in keys.everywhere
