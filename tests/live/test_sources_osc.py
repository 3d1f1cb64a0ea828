from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from hypothesis_profiles import examples
from runtime.sources.osc import messages


def message(address: str, *arguments: str | int | float | bool) -> bytes:
    builder = OscMessageBuilder(address)
    for argument in arguments:
        builder.add_arg(argument)
    return builder.build().dgram


def bundle(*contents: bytes) -> bytes:
    """As the specification puts it, by hand: nested bundles are easier so."""
    return (
        b"#bundle\0"
        + b"\0" * 7
        + b"\1"
        + b"".join(struct.pack(">i", len(content)) + content for content in contents)
    )


def test_messages_of_an_independent_writer_are_read() -> None:
    packet = message("/a/b", "name", 1.5, -3, True, False)
    assert list(messages(packet, prefix=b"/a")) == [("/a/b", ("name", 1.5, -3, True, False))]
    assert list(messages(message("/a"), prefix=b"/a")) == [("/a", ())]
    assert list(messages(message("/a", "", "abc", "abcd"), prefix=b"/a")) == [
        ("/a", ("", "abc", "abcd"))
    ]


def test_other_addresses_are_passed_over() -> None:
    assert list(messages(message("/other", 1), prefix=b"/a")) == []


def test_bundles_give_their_messages_in_order() -> None:
    builder = OscBundleBuilder(IMMEDIATELY)
    for number in range(5):
        one = OscMessageBuilder("/a")
        one.add_arg(number)
        builder.add_content(one.build())  # type: ignore[arg-type]
    packet = bundle(message("/a", 10), builder.build().dgram, message("/a", 11))
    assert [arguments for _, arguments in messages(packet, prefix=b"/a")] == [
        (10,),
        (0,),
        (1,),
        (2,),
        (3,),
        (4,),
        (11,),
    ]


def test_bundles_nested_thousands_deep_are_read() -> None:
    packet = message("/a", 1)
    while len(packet) < 60_000:
        packet = bundle(packet)
    assert list(messages(packet, prefix=b"/a")) == [("/a", (1,))]


def test_sizes_that_cannot_be_end_a_bundle() -> None:
    good = message("/a", 1)
    for size in (-4, -1, 0, 1 << 30, -(1 << 31)):
        packet = bundle(good) + struct.pack(">i", size) + good
        assert list(messages(packet, prefix=b"/a")) == [("/a", (1,))]


def test_malformed_messages_are_left_out() -> None:
    whole = message("/a", "text", 1.5)
    for packet in (
        whole[:-1],
        whole[:-4],
        b"/a",
        b"/a\0\0,s\0\0",
        b"/a\0\0,x\0\0",
        b"/a\0\0abc\0",
        b"/\xff\0\0,\0\0\0",
        b"",
        b"/a\0\0,s\0\0\xff\xfe\0\0",
        b"/a\0\0," + b"T" * 1000 + b"\0\0\0",
        b"/a\0\0,i",
    ):
        assert list(messages(packet, prefix=b"/")) == [], packet
    assert list(messages(bundle(whole[:-4], whole), prefix=b"/a")) == [("/a", ("text", 1.5))]


@examples(300)
@given(st.binary(max_size=400))
def test_any_bytes_are_survived(data: bytes) -> None:
    for packet in (
        data,
        b"#bundle\0" + data,
        bundle(data),
        b"/a\0\0," + data,
        message("/a", "x", 1.0) + data,
    ):
        for address, arguments in messages(packet, prefix=b"/"):
            assert address.startswith("/")
            assert all(isinstance(argument, str | int | float) for argument in arguments)


_ARGUMENTS = st.lists(
    st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=30)
    | st.integers(-(2**31), 2**31 - 1)
    | st.booleans()
    | st.floats(width=32, allow_nan=False),
    max_size=12,
)


@examples(200)
@given(_ARGUMENTS)
def test_whatever_an_independent_writer_writes_is_read_back(
    arguments: list[str | int | float | bool],
) -> None:
    assert list(messages(message("/a/b", *arguments), prefix=b"/a")) == [("/a/b", tuple(arguments))]
