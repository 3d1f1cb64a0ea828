"""Publishing once, watching many times: through a real SFU, Debian's Janus."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from janus_sfu import CHROMIUM_SUBSCRIBES, janus, janus_api, subscribe, tracks_of
from test_web_browser import FLAGS
from test_whip import showing
from voices import TONE, tone, voice_of
from web_session import PATIENCE, number_in

from runtime.sinks.whip import WhipSink
from runtime.sound.contract import RATE
from runtime.web.codec import EncodeConfig
from runtime.web.whip_http import whip_target

VIEWERS = 3


async def _watched(port: int) -> tuple[list[list[int]], list[AudioFrame]]:
    """The numbers of the pictures that each viewer sees, and the sound that the first one hears."""
    async with janus_api(port) as api:
        viewers = [await subscribe(api) for _ in range(VIEWERS)]
        try:

            async def look(viewer: Any) -> list[int]:
                (video,) = [track for track in tracks_of(viewer) if track.kind == "video"]
                numbers: list[int] = []
                while len(numbers) < 20:
                    frame = await asyncio.wait_for(video.recv(), PATIENCE)
                    assert isinstance(frame, VideoFrame)
                    image: Any = frame.to_ndarray(format="rgb24")
                    assert image.shape == (192, 256, 3)
                    numbers.append(number_in(image))
                return numbers

            async def listen(viewer: Any) -> list[AudioFrame]:
                (audio,) = [track for track in tracks_of(viewer) if track.kind == "audio"]
                heard: list[AudioFrame] = []
                while len(heard) < 60:
                    frame = await asyncio.wait_for(audio.recv(), PATIENCE)
                    assert isinstance(frame, AudioFrame)
                    heard.append(frame)
                return heard

            listening = asyncio.create_task(listen(viewers[0]))
            seen = await asyncio.gather(*map(look, viewers))
            return list(seen), await listening
        finally:
            for viewer in viewers:
                await viewer.close()


def _watched_by_chromium(port: int) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        try:
            page = browser.new_page()
            page.evaluate(CHROMIUM_SUBSCRIBES, port)
            page.wait_for_function("video.videoWidth === 256 && video.currentTime > 1")
            kinds = page.evaluate("video.srcObject.getTracks().map(({ kind }) => kind).sort()")
            assert kinds == ["audio", "video"]
        finally:
            browser.close()


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_many_watch_and_hear_through_an_sfu_what_is_published_once(
    codec: str, tmp_path: Path
) -> None:
    """The session prefers VP8; the SFU's room wants one codec."""
    with janus(tmp_path, codec) as (address, port), voice_of(tone) as voice:
        with showing(WhipSink(whip_target(address, None), EncodeConfig(), voice=voice)):
            seen, heard = asyncio.run(_watched(port))
            if codec == "vp8" and shutil.which("chromium") is not None:
                _watched_by_chromium(port)
        with showing(WhipSink(whip_target(address, None), EncodeConfig(), voice=voice)):
            pass  # DELETE has freed the room's only place
    for numbers in seen:
        assert (np.diff(numbers) > 0).all()
    samples = np.concatenate([frame.to_ndarray()[0, ::2] for frame in heard[-40:]])
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert abs(np.fft.rfftfreq(len(samples), 1 / RATE)[spectrum.argmax()] - TONE) < 5
