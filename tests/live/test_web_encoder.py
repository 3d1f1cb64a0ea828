from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.error import ExternalError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from web_session import PATIENCE, PaintedSession, number_in, painted, until

from perse_live.arrays import UInt8Array
from runtime.live.clock import StageClock
from runtime.live.frames import DrawnFrame
from runtime.live.i420 import to_i420
from runtime.live.slot import Latest
from runtime.web import codec as codec_module
from runtime.web.codec import CodecName, EncodeConfig, PictureEncoder
from runtime.web.encoder import KeyframeRequests, SharedEncoder, StreamEnded, Subscription

CODECS: list[CodecName] = ["vp8", "h264"]


def decode(decoder: Any, packet: Packet[Any]) -> list[UInt8Array]:
    return [frame.to_ndarray(format="rgb24") for frame in decoder.decode(packet)]


def decoder_for(codec: CodecName) -> VideoCodecContext:
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, VideoCodecContext)
    return context


@pytest.mark.parametrize("codec", CODECS)
def test_every_picture_is_one_packet_and_decodes_at_once(codec: CodecName) -> None:
    encoder, decoder = PictureEncoder(EncodeConfig(codec=codec)), decoder_for(codec)
    for number in range(10):
        packet = encoder.encode(to_i420(painted(number)), number * 3000, keyframe=number == 5)
        assert packet.pts == number * 3000
        assert packet.is_keyframe == (number in (0, 5))
        (image,) = decode(decoder, packet)
        assert number_in(image) == number
        # Colours are right, so matrix and range are
        assert np.abs(image.astype(int) - painted(number))[20:].mean() < 4


@pytest.mark.parametrize("codec", CODECS)
def test_a_viewer_who_joins_at_a_keyframe_sees_the_picture(codec: CodecName) -> None:
    encoder = PictureEncoder(EncodeConfig(codec=codec))
    packets = [
        encoder.encode(to_i420(painted(number)), number * 3000, keyframe=number == 5)
        for number in range(8)
    ]
    late = decoder_for(codec)
    assert [number_in(image) for packet in packets[5:] for image in decode(late, packet)] == [
        5,
        6,
        7,
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_a_new_size_begins_with_a_keyframe(codec: CodecName) -> None:
    encoder, decoder = PictureEncoder(EncodeConfig(codec=codec)), decoder_for(codec)
    for number, (width, height) in enumerate(
        [(256, 192), (256, 192), (512, 192), (512, 192), (320, 256)]
    ):
        packet = encoder.encode(
            to_i420(painted(number, width=width, height=height)), number * 3000, keyframe=False
        )
        assert packet.is_keyframe == (number in (0, 2, 4))
        (image,) = decode(decoder, packet)
        assert image.shape == (height, width, 3) and number_in(image) == number


@pytest.mark.parametrize("codec", CODECS)
def test_the_bitrate_is_kept_where_the_picture_asks_for_more(codec: CodecName) -> None:
    rng = np.random.default_rng(0)
    encoder = PictureEncoder(EncodeConfig(codec=codec, bitrate=1_000_000))
    clouds = [
        cv2.resize(rng.integers(0, 255, (24, 32, 3), np.uint8), (256, 192)).astype(np.uint8)
        for _ in range(8)
    ]
    sizes = [
        encoder.encode(to_i420(clouds[number % 8]), number * 3000, keyframe=False).size
        for number in range(90)
    ]
    assert 500_000 < sum(sizes[30:]) * 8 / 2 < 1_300_000  # of the last two seconds


def test_keyframe_requests_are_answered_at_a_bearable_distance() -> None:
    requests = KeyframeRequests(0.5)
    assert not requests.due(0.0)
    requests.ask()
    assert requests.due(0.0)
    requests.made(0.0)
    made = 0
    for tick in range(1, 301):  # ten seconds in which every picture is asked for
        now = tick / 30
        for _ in range(100):
            requests.ask()
        if requests.due(now):
            requests.made(now)
            made += 1
    assert 18 <= made <= 20


def with_encoder(
    drawn: Latest[DrawnFrame],
    body: Callable[[SharedEncoder], Awaitable[None]],
    clock: StageClock | None = None,
) -> None:
    async def run() -> None:
        encoder = SharedEncoder(drawn, clock or StageClock())
        encoder.start()
        try:
            await asyncio.wait_for(body(encoder), 2 * PATIENCE)
        finally:
            encoder.close()

    asyncio.run(run())


async def take(subscription: Subscription, count: int) -> list[Packet[Any]]:
    return [await subscription.next() for _ in range(count)]


def test_all_share_one_encoding() -> None:
    session, clock = PaintedSession(), StageClock()

    async def body(encoder: SharedEncoder) -> None:
        subscriptions = [encoder.subscribe() for _ in range(8)]
        taken = await asyncio.gather(*(take(each, 20) for each in subscriptions))
        assert taken[0][0].is_keyframe
        for packets in taken[1:]:
            # The very same packets
            assert all(mine is theirs for mine, theirs in zip(packets, taken[0], strict=True))
        stamps = [packet.pts or 0 for packet in taken[0]]
        assert stamps == sorted(set(stamps))
        decoder = decoder_for("vp8")
        numbers = [number_in(image) for packet in taken[0] for image in decode(decoder, packet)]
        assert numbers == sorted(set(numbers))  # nothing twice

    try:
        with_encoder(session.drawn, body, clock)
        assert clock.timing().ms > 0
    finally:
        session.close()


@pytest.mark.parametrize(
    "error",
    [ValueError("not enough values to unpack"), MemoryError(), ExternalError(-542398533, "failed")],
)
def test_an_encoder_that_raises_begins_again_with_a_keyframe(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session, broken, opened = PaintedSession(), threading.Event(), codec_module._open  # pyright: ignore[reportPrivateUsage]

    class Failing:
        """PyAV's context, which fails while the test says so."""

        def __init__(self, *arguments: Any) -> None:
            self._context = opened(*arguments)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._context, name)

        def encode(self, frame: VideoFrame) -> list[Packet[Any]]:
            if broken.is_set():
                raise error
            return self._context.encode(frame)

    monkeypatch.setattr(codec_module, "_open", Failing)

    async def body(encoder: SharedEncoder) -> None:
        subscription = encoder.subscribe()
        (before,) = await take(subscription, 1)
        broken.set()
        count = session.count
        await until(lambda: session.count > count + 10)
        broken.clear()
        while not (after := await subscription.next()).is_keyframe or after is before:
            pass
        (image,) = decode(decoder_for("vp8"), after)
        assert number_in(image) > count

    try:
        with_encoder(session.drawn, body)
    finally:
        session.close()
    assert len([one for one in caplog.messages if "could not be encoded" in one]) == 1, (
        "said once, not thirty times a second"
    )


def test_nothing_is_encoded_while_nobody_watches() -> None:
    session, clock = PaintedSession(), StageClock()

    async def body(encoder: SharedEncoder) -> None:
        await until(lambda: session.count > 10)
        assert clock.timing().per_second == 0
        subscription = encoder.subscribe()
        await take(subscription, 5)
        subscription.close()
        with pytest.raises(StreamEnded):
            await subscription.next()
        closed_at = session.count
        # The encoding that was on its way is over
        await until(lambda: session.count > closed_at + 5)
        before, painted_before = len(clock._samples), session.count  # pyright: ignore[reportPrivateUsage]
        await until(lambda: session.count > painted_before + 10)
        assert len(clock._samples) == before  # pyright: ignore[reportPrivateUsage]
        assert clock.timing().dropped < 5  # what nobody asked for was not dropped

    try:
        with_encoder(session.drawn, body, clock)
    finally:
        session.close()


@pytest.mark.slow
def test_who_falls_behind_goes_on_at_a_keyframe_and_nobody_else_waits() -> None:
    session = PaintedSession(rate=60)

    async def body(encoder: SharedEncoder) -> None:
        quick, slow = encoder.subscribe(), encoder.subscribe()
        quick_packets = await take(quick, 3)
        await take(slow, 1)
        quick_packets += await take(quick, 40)  # while the slow one takes nothing
        keyframes = [packet.is_keyframe for packet in quick_packets]
        assert sum(keyframes) <= 2  # nobody's slowness makes keyframes for others
        first, *others = await take(slow, 30)
        assert (first.pts or 0) > (quick_packets[-20].pts or 0)  # skipped forward
        decoder = decoder_for("vp8")
        assert first.is_keyframe
        assert (
            len([image for packet in (first, *others) for image in decode(decoder, packet)]) == 30
        )

    try:
        with_encoder(session.drawn, body)
    finally:
        session.close()


def test_a_still_picture_is_shown_to_a_newcomer() -> None:
    drawn: Latest[DrawnFrame] = Latest()
    drawn.put(DrawnFrame(painted(7), False, 1.0, None, 1))

    async def body(encoder: SharedEncoder) -> None:
        for _ in range(2):
            subscription = encoder.subscribe()
            (packet,) = await take(subscription, 1)
            assert packet.is_keyframe
            assert number_in(decode(decoder_for("vp8"), packet)[0]) == 7
            subscription.close()

    with_encoder(drawn, body)


def test_the_end_of_the_session_ends_the_thread() -> None:
    drawn: Latest[DrawnFrame] = Latest()

    async def body(encoder: SharedEncoder) -> None:
        encoder.subscribe()
        drawn.close()
        thread = encoder._thread  # pyright: ignore[reportPrivateUsage]
        assert thread is not None
        await until(lambda: not thread.is_alive())

    with_encoder(drawn, body)
