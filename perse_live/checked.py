"""JSON and TOML from files and peers that may be hostile: size, nesting, keys and numbers are capped while the text is parsed.

Both parsers of the standard library accept input that later code cannot handle: numbers of thousands of digits (whose `repr`
raises), NaN and infinities, duplicate keys, lone surrogates, nesting and dotted keys that take seconds.
"""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any, NoReturn, cast

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from perse_live.errors import one_line

MAX_DEPTH = 16
"""Objects and lists within each other."""
MAX_DIGITS = 40
"""Characters of a number; a double needs 24."""
MAX_INTEGER = 2**53
"""Largest magnitude of an integer: what JSON readers exchange exactly (RFC 8259, section 6)."""
MAX_KEY_PARTS = 8
"""Parts of a dotted key in TOML."""

# Strings and comments of TOML 1.0; what is not closed matches to the end of the line or text, so that scanning stays linear
_TOML_TEXT = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*(?:"""|\Z)|\'\'\'(?:[^\']|\'(?!\'\'))*(?:\'\'\'|\Z)'
    r'|"[^"\\\n]*(?:\\.[^"\\\n]*)*"?|\'[^\'\n]*\'?|#[^\n]*',
    re.DOTALL,
)
_BRACKET = re.compile(r"[\[\]{}]")
_LONG_NUMBER = re.compile(rf"(?<![\w.+-])[+-]?\d[\w.+-]{{{MAX_DIGITS},}}")
_LONG_KEY = re.compile(rf"(?:\.[ \t]*[\w-]*[ \t]*){{{MAX_KEY_PARTS}}}")


class CheckedError(ValueError):
    """The text is invalid; the message says why in a few printable words."""


def parse_json(text: bytes | str, *, max_bytes: int) -> Any:
    """The value of a JSON text.

    Raises CheckedError for text that is too large, not UTF-8, not JSON or beyond the limits of this module, and for duplicate
    keys.
    """
    content = _decoded(text, max_bytes)
    try:
        value = json.loads(
            content,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except RecursionError:
        raise CheckedError(f"nested more than {MAX_DEPTH} deep") from None
    except json.JSONDecodeError as error:
        raise CheckedError(f"not JSON ({error.msg}, line {error.lineno})") from None
    _check_values(value)
    return value


def parse_json_object(text: bytes | str, *, max_bytes: int) -> dict[str, Any]:
    """As `parse_json`, for a text that must be an object."""
    value = parse_json(text, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise CheckedError("not a JSON object")
    return cast("dict[str, Any]", value)


def parse_toml(text: bytes, *, max_bytes: int) -> dict[str, Any]:
    """The tables of a TOML file; a byte order mark is skipped.

    Raises CheckedError as `parse_json` does; NaN and infinities, which TOML has names for, pass.
    """
    content = _decoded(text.removeprefix(b"\xef\xbb\xbf"), max_bytes)
    _check_toml_tokens(content)
    try:
        value = tomllib.loads(content)
    except RecursionError:
        raise CheckedError(f"nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:  # TOMLDecodeError, and dates that do not exist
        raise CheckedError(f"not TOML: {one_line(error, 200)}") from None
    _check_values(value)
    return value


def _decoded(text: bytes | str, max_bytes: int) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        raise CheckedError(f"larger than the {max_bytes // 1024} KiB allowed")
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckedError(f"not UTF-8 text (byte {error.start})") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise CheckedError("a JSON key stands twice")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise CheckedError(f"JSON number {name}")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise CheckedError(f"a number of {len(text)} characters, where {MAX_DIGITS} are allowed")
    return int(text)


def _number(text: str) -> float:
    if len(text) > MAX_DIGITS:
        raise CheckedError(f"a number of {len(text)} characters, where {MAX_DIGITS} are allowed")
    number = float(text)
    if not math.isfinite(number):
        raise CheckedError("a number beyond what a double holds")
    return number


def _check_toml_tokens(content: str) -> None:
    """Refuse, before parsing, input that tomllib is slow on: dotted keys and brackets without end, numbers of any length."""
    bare = _TOML_TEXT.sub("s", content)
    depth = 0
    for bracket in _BRACKET.finditer(bare):
        depth = depth + 1 if bracket[0] in "[{" else max(depth - 1, 0)
        if depth > MAX_DEPTH:
            raise CheckedError(f"nested more than {MAX_DEPTH} deep")
    if _LONG_KEY.search(bare):
        raise CheckedError(f"a dotted key has more than {MAX_KEY_PARTS} parts")
    if found := _LONG_NUMBER.search(bare):
        raise CheckedError(
            f"a number of {len(found[0])} characters, where {MAX_DIGITS} are allowed"
        )


def _check_values(value: Any) -> None:
    """Refuse deep nesting, numbers beyond the limits, and text that cannot be printed."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, int) and abs(item) > MAX_INTEGER:
                raise CheckedError("an integer beyond 2^53")
            elif isinstance(item, dict):
                for key, entry in cast("dict[str, Any]", item).items():
                    _check_text(key)
                    below.append(entry)
            elif isinstance(item, list):
                below.extend(cast("list[Any]", item))
        if not below:
            return
        level = below
    raise CheckedError(f"nested more than {MAX_DEPTH} deep")


def _check_text(text: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise CheckedError("text that is not Unicode")
