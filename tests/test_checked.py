"""JSON and TOML: what is sound is read as the standard library reads it, everything else is refused at once."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypothesis_profiles import examples
from perse_live.checked import MAX_INTEGER, CheckedError, parse_json, parse_json_object, parse_toml

KIB = 1024

texts = st.text(st.characters(exclude_categories=("Cs",)))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_whatever_json_writes_is_read_back(value: Any) -> None:
    assert parse_json(json.dumps(value), max_bytes=1 << 20) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode(), max_bytes=1 << 20) == value


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    for parse in (parse_json, parse_json_object):
        try:
            parse(text, max_bytes=KIB)
        except CheckedError as error:
            assert str(error).isprintable() and len(str(error)) < 300


@examples(300)
@given(st.text("ab.= \n\t\"'[]{}#\\,1e+-_:xT", max_size=120))
def test_any_toml_is_read_or_refused(text: str) -> None:
    try:
        value = parse_toml(text.encode(), max_bytes=KIB)
    except CheckedError as error:
        assert str(error).isprintable() and len(str(error)) < 300
    else:
        assert len(repr(value)) < 10_000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1" * 5000, "number of 5000"),
        ("-1" + "0" * 400, "number of 402"),
        (f"{2**53 + 1}", "beyond 2.53"),
        ("1e400", "double"),
        ("0." + "1" * 100, "number of 102"),
        ("NaN", "NaN"),
        ("[-Infinity]", "-Infinity"),
        ('{"a": 1, "a": 1}', "twice"),
        ('"\\udc00"', "not Unicode"),
        ("[" * 17 + "]" * 17, "nested"),
        ("[" * 100_000, "nested"),
        ('{"a":' * 100_000, "nested"),
        ("[1, 2", "not JSON"),
        ("", "not JSON"),
        ("[" + "0," * 600_000 + "0]", "larger than"),
    ],
)
def test_what_json_must_not_hold(text: str, reason: str) -> None:
    with pytest.raises(CheckedError, match=reason):
        parse_json(text, max_bytes=1 << 20)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = " + "9" * 5000, "number of 5000"),
        ("a = 0x" + "f" * 5000, "number of 5002"),
        ("a = 1_" + "0_" * 300 + "0", "number of"),
        ("a = 9007199254740993", "beyond 2.53"),
        ("a = " + "[" * 30_000, "nested"),
        ("a = " + "{a=" * 20_000, "nested"),
        (".".join("a" * 32_000) + " = 1", "dotted key"),
        ("[" + " . ".join(["a"] * 9) + "]", "dotted key"),
        (".".join(["'b.c'"] * 9) + " = 1", "dotted key"),
        ('"' * 60_000, "not TOML"),
        ("'" * 60_001, "not TOML"),
        ('a = "' + "\\" * 60_000, "not TOML"),
        ("a = '''" + "''" * 29_000, "not TOML"),
        ('a = """' + '""\n' * 20_000, "not TOML"),
        ("a = 2026-13-40", "not TOML"),
        ("a = 1\na = 2", "not TOML"),
        ("#" * 70_000, "larger than"),
        ("a = \x7f", "not TOML"),
    ],
)
def test_what_toml_must_not_hold(text: str, reason: str) -> None:
    with pytest.raises(CheckedError, match=reason):
        parse_toml(text.encode(), max_bytes=64 * KIB)


def test_dots_in_texts_and_comments_are_no_keys() -> None:
    text = b"""\xef\xbb\xbfa.b.c = "1.2.3.4.5.6.7.8.9.10.11.12" # a.b.c.d.e.f.g.h.i.j.k [[[[[[[[[[[[[[[[[[
    d = '''x.x.x.x.x.x.x.x.x.x.x.x.x.x''' # '
    e = 1.5e3
    f = nan
    g = 1979-05-27T00:32:00.999999-07:00"""
    value = parse_toml(text, max_bytes=KIB)
    assert (
        value["a"] == {"b": {"c": "1.2.3.4.5.6.7.8.9.10.11.12"}}
        and value["e"] == 1500
        and math.isnan(value["f"])
    )


@pytest.mark.parametrize(
    "text",
    [
        "[[a]]\n" * 10_000,
        "\n".join(f"[a{k}.b.c.d.e.f]" for k in range(3_600)),
        "a=[" + "[]," * 20_000 + "]",
        "\n".join(f"a{k}.b.c.d.e.f.g=1" for k in range(2_800)),
        "a={" + ",".join(f"a{k}=1" for k in range(7_000)) + "}",
    ],
)
def test_what_tomllib_is_slowest_at_is_read(text: str) -> None:
    """Under a second each, at the largest size allowed."""
    assert "a" in parse_toml(text.encode(), max_bytes=64 * KIB) or "a0" in parse_toml(
        text.encode(), max_bytes=64 * KIB
    )
