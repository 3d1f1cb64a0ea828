"""Viewers whose network is bad: what they see comes back by itself, and nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from bad_link import BadLink
from web_session import Served, Watcher, serving, until, watching

from runtime.web.codec import CodecName
from runtime.web.server import WebConfig

_NEAR = 45  # pictures that a viewer on a bad line may be behind: one and a half seconds


@asynccontextmanager
async def behind(link: BadLink, url: str) -> AsyncGenerator[Watcher, None]:
    """A viewer at the other end of a link, which sees something."""
    await link.open()
    watcher = Watcher()
    try:
        async with aiohttp.ClientSession() as http:
            await watcher.join(http, url, change=link.hide_viewer, change_answer=link.through)
            assert watcher.status == 201
        await watcher.decoded(5)
        yield watcher
    finally:
        await watcher.close()
        link.close()


def up_to_date(served: Served, watcher: Watcher) -> bool:
    """Whether what is seen now is nearly what is drawn now."""
    return served.session.count - watcher.numbers[-1] < _NEAR


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_a_line_that_loses_a_tenth_of_all_packets_is_watched_on(codec: CodecName) -> None:
    with serving(WebConfig(port=0, codec=codec)) as served:

        async def body() -> None:
            link = BadLink()
            async with behind(link, served.url) as far, watching(served.url) as (near,):
                link.loss, link.jitter = 0.1, 0.005
                await far.decoded(30)
                await until(lambda: link.lost > 5)
                await near.decoded(10)
                link.loss = link.jitter = 0.0
                await until(lambda: up_to_date(served, far))

        asyncio.run(body())


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1.0, 4.0])
def test_a_line_that_is_dead_for_a_while_goes_on_with_the_newest_picture(seconds: float) -> None:
    with serving() as served:

        async def body() -> None:
            link = BadLink()
            async with behind(link, served.url) as far:
                link.loss = 1.0
                await asyncio.sleep(seconds)
                drawn, seen = served.session.count, far.numbers[-1]
                assert drawn > seen, "nothing came through"
                link.loss = 0.0
                await until(lambda: far.numbers[-1] >= drawn and up_to_date(served, far))
                assert served.server.viewers == 1
                await until(lambda: far.channel.readyState == "open")

        asyncio.run(body())
