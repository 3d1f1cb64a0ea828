"""Key bindings: the defaults, and a user's changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from perse_live.errors import UserError
from runtime.live.actions import Action, parse_action_text

_DIGITS = "123456789"

PLAIN_KEYS: Mapping[str, str] = MappingProxyType(
    {
        **{digit: f"attribute {digit}" for digit in _DIGITS},
        "0": "no-attributes",
        "n": "next-attribute",
        "p": "previous-attribute",
        "c": "recalibrate",
        "m": "mirror",
        "h": "hide",
        "v": "mute",
        "r": "record",
        **{
            f"F{number}": f"avatar {number}" for number in (1, 2, 3, 4)
        },  # F5 reloads the page, F11 and F12 are the browser's too
    }
)
"""Keys of the page and, single characters only, of the terminal: the key, and its action as text."""

GLOBAL_KEYS: Mapping[str, str] = MappingProxyType(
    {
        **{f"<ctrl>+<alt>+{digit}": f"attribute {digit}" for digit in _DIGITS},
        "<ctrl>+<alt>+0": "no-attributes",
        "<ctrl>+<alt>+n": "next-attribute",
        "<ctrl>+<alt>+p": "previous-attribute",
        "<ctrl>+<alt>+c": "recalibrate",
        "<ctrl>+<alt>+h": "hide",
        "<ctrl>+<alt>+v": "mute",
        "<f8>": "record",
        "<f9>": "hide",
    }
)
"""Keys that work in any window: the combination in pynput's spelling, and its action as text."""

_MODIFIERS = ("ctrl", "alt", "shift", "cmd")  # in this order in a normal spelling
_SPECIAL = frozenset(
    {
        "space",
        "enter",
        "tab",
        "esc",
        "backspace",
        "insert",
        "delete",
        "home",
        "end",
        "page_up",
        "page_down",
        "up",
        "down",
        "left",
        "right",
        "pause",
        "scroll_lock",
    }
)
_FUNCTION_KEY = re.compile(r"f([1-9]|1[0-9]|20)")
_COMBINATION = re.compile(r"(?P<modifiers>(?:<\w+>\+)*)(?P<key><\w+>|\S)")


@dataclass(frozen=True)
class KeyMap:
    """Every key and its action as text (see `runtime.live.actions`); all spelt the normal way, all actions known."""

    plain: Mapping[str, str] = field(default_factory=lambda: PLAIN_KEYS)
    """Of the page: a character in lower case, or F1 to F20. The terminal takes the characters among them."""
    everywhere: Mapping[str, str] = field(default_factory=lambda: GLOBAL_KEYS)
    """Of any window, as pynput spells them: `<ctrl>+<alt>+1`, `<f8>`."""

    def terminal_actions(self) -> dict[str, Action]:
        """Bindings of the terminal. A terminal sends F keys as several characters, so those are left to the page."""
        return {
            key: parse_action_text(action) for key, action in self.plain.items() if len(key) == 1
        }

    def global_actions(self) -> dict[str, Action]:
        """Bindings of the system-wide keys."""
        return {key: parse_action_text(action) for key, action in self.everywhere.items()}


def key_map(plain: Mapping[str, object], everywhere: Mapping[str, object], *, where: str) -> KeyMap:
    """The default keys with a user's changes.

    plain, everywhere: key to action as text; they add to the defaults or replace them, an empty text takes the key away.
    where: what the keys were read from, for messages. Raises UserError, naming the key, for an invalid or
    ambiguous key, and for an unknown action.
    """
    keys = KeyMap(
        _changed(PLAIN_KEYS, plain, plain_key, f"{where}: keys.plain"),
        _changed(GLOBAL_KEYS, everywhere, global_key, f"{where}: keys.global"),
    )
    for key in keys.plain:
        if f"<{key.lower()}>" in keys.everywhere:
            raise UserError(
                f"{where}: {key} stands in keys.plain and <{key.lower()}> in keys.global, so pressing it in the page"
                ' would act twice: set one of them to ""'
            )
    return keys


def _changed(
    defaults: Mapping[str, str],
    changes: Mapping[str, object],
    spelt: Callable[[str], str],
    where: str,
) -> dict[str, str]:
    keys = dict(defaults)
    written: dict[str, str] = {}
    for raw, action in changes.items():
        try:
            key = spelt(raw)
            if key in written:
                raise UserError(f"it is the same key as {written[key]!r}: keep one of the two")
            written[key] = raw
            if not isinstance(action, str):
                raise UserError(
                    f'its action is {action!r}; it must be a text such as "attribute 3", or "" for none'
                )
            if action:
                parse_action_text(action)
                keys[key] = action
            else:
                keys.pop(key, None)
        except UserError as error:
            raise UserError(f"{where}: {raw!r}: {error}") from error
    return keys


def plain_key(text: str) -> str:
    """The normal spelling of a key of the page: "H" is "h", "f2" is "F2".

    Raises UserError for anything but a visible character or F1 to F20.
    """
    if len(text) == 1 and text.isprintable() and not text.isspace():
        return text.lower()
    if _FUNCTION_KEY.fullmatch(text.lower()):
        return text.upper()
    raise UserError("a plain key is one visible character or F1 to F20")


def global_key(text: str) -> str:
    """The normal spelling of a combination: modifiers in a fixed order, lower case.

    Raises UserError for one that cannot be understood, would fire while typing, or never fires.
    """
    match = _COMBINATION.fullmatch(text.lower())
    if match is None:
        raise UserError("write a global key like <ctrl>+<alt>+1 or <f8>")
    modifiers, key = re.findall(r"\w+", match["modifiers"]), match["key"]
    name = key[1:-1] if len(key) > 1 else ""
    for modifier in modifiers:
        if modifier not in _MODIFIERS or modifiers.count(modifier) > 1:
            raise UserError(
                f"<{modifier}> cannot stand there: the modifiers are <{'>, <'.join(_MODIFIERS)}>, each once"
            )
    if name and not (name in _SPECIAL or _FUNCTION_KEY.fullmatch(name)):
        raise UserError(
            f"there is no key {key}: give a character, <f1> to <f20>, or one of {', '.join(sorted(_SPECIAL))}"
        )
    if not _FUNCTION_KEY.fullmatch(name) and not set(modifiers) & {"ctrl", "alt", "cmd"}:
        raise UserError(
            "it would act while you type in any window: put <ctrl>+<alt>+ before it, or take an F key"
        )
    # The system then reports the character above, such as ! for 1
    if "shift" in modifiers and not name and not key.isalpha():
        raise UserError(
            f"with <shift> this key is another character and never fires: take <ctrl>+<alt>+{key}"
        )
    return "+".join([f"<{modifier}>" for modifier in _MODIFIERS if modifier in modifiers] + [key])
