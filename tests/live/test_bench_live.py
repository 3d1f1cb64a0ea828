"""The stopwatch of `perse-live bench --live`: its parts by themselves, and the whole once, with a real browser."""

from __future__ import annotations

import json
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from live_avatars import dressable_avatar
from running_session import scene
from web_session import PaintedSession

from perse_live.avatar import save_avatar
from perse_live.cli.program import main
from perse_live.errors import UserError
from perse_live.film.reader import open_film
from perse_live.film.writer import film_writer
from runtime.bench.live import measure, unwatched
from runtime.bench.live.answers import camera_answers, key_answers
from runtime.bench.live.chromium import chromium_missing
from runtime.bench.live.crowd import onlookers
from runtime.bench.live.fading import intervals_in_fades
from runtime.bench.live.figures import spread_of
from runtime.bench.live.measure import check_live
from runtime.bench.live.nodding_film import HALF_SECONDS, RATE, write_nodding_film
from runtime.bench.live.processor import RoleTimes
from runtime.bench.live.stamps import stamp_in, stamped
from runtime.bench.live.unwatched import governor_line
from runtime.live.clock import StageClock
from runtime.web.server import WebConfig, WebServer


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of a face."""
    path = tmp_path_factory.mktemp("bench") / "face.mp4"
    with film_writer(path, width=320, height=240, rate=Fraction(30)) as writer:
        for shift in range(30):
            writer.write(scene(shift=shift // 2))
    return path


@pytest.mark.parametrize("number", [0, 1, 0x5A5A, 0xFFFF])
def test_a_stamp_is_read_again_and_nothing_is_read_where_none_is(number: int) -> None:
    random = np.random.default_rng(number)
    image = random.integers(0, 256, (96, 160, 3), np.uint8)
    noise = random.normal(0, 20, image.shape)  # as coarse encoding leaves it
    seen = np.clip(stamped(image, number) + noise, 0, 255).astype(np.uint8)
    assert stamp_in(seen) == number
    assert stamp_in(np.full_like(image, 200)) is None


def test_keys_are_answered_by_the_first_picture_of_the_other_colour() -> None:
    times = 10 + np.arange(40) / 30
    red = np.arange(40) >= 20
    assert key_answers([10 + 19.5 / 30], times, red) == [pytest.approx(0.5 / 30 * 1000)]
    assert key_answers([10 + 30 / 30], times, red) == []  # nothing changed after it
    assert key_answers([9.0, 12.0], times, red) == []  # before the first picture, after the last


def test_the_camera_is_answered_when_the_avatar_is_part_of_the_way() -> None:
    def picture(frame: int) -> list[object]:
        share = np.clip((frame - 33) / 4, 0, 1)  # begins to move in frame 34
        return [frame / 30, 0, 0, 0, [100 + 40 * share, 100 - 40 * share, 80]]

    assert camera_answers([1.0], [picture(frame) for frame in range(90)]) == [
        pytest.approx(1000 * (35 / 30 - 1))
    ]
    still = [[frame / 30, 0, 0, 0, [100, 100, 80]] for frame in range(90)]
    assert camera_answers([1.0], still) == []


def test_only_pictures_of_fades_count() -> None:
    drawn = np.r_[np.arange(30) / 30, 1.1, 1.1 + np.arange(1, 30) / 30]  # one came late
    assert intervals_in_fades(drawn, []) == []
    assert intervals_in_fades(drawn[:1], [0.0]) == []
    early = intervals_in_fades(drawn[::-1], [0.0])
    assert len(early) == 13 and max(early) < 34
    late = intervals_in_fades(drawn, [0.9])
    assert max(late) == pytest.approx(1000 * (1.1 - 29 / 30)) and sum(one > 50 for one in late) == 1


def test_too_few_measurements_say_nothing() -> None:
    assert spread_of([1, 2, 3, 4]) is None
    spread = spread_of([1, 2, 3, 4, 90])
    assert spread is not None and (spread.median, spread.count) == (3, 5) and spread.p95 > 4


def test_the_camera_film_tilts_the_face_and_says_so_in_its_corner(
    face: Path, tmp_path: Path
) -> None:
    write_nodding_film(face, tmp_path / "nod.y4m")
    frames = list(open_film(tmp_path / "nod.y4m").frames())
    assert len(frames) == round(2 * HALF_SECONDS * RATE)
    assert [bool(frame.image[8, 8, 1] > 128) for frame in frames[:: len(frames) // 2]] == [
        True,
        False,
    ]
    first, last = (
        frames[0].image[100:400, 100:540].astype(int),
        frames[-1].image[100:400, 100:540].astype(int),
    )
    assert np.abs(first - last).mean() > 10


@pytest.mark.slow
def test_onlookers_watch_and_those_that_decode_read_what_they_see() -> None:
    session = PaintedSession()
    server = WebServer(session, StageClock(), WebConfig(port=0))
    try:
        url = server.start()
        with onlookers(url, 2, "receiving") as end:
            assert server.viewers == 2
            assert end() == []
        with onlookers(url, 1, "decoding") as end:
            assert server.viewers >= 1
            assert len(end()) >= 1
    finally:
        server.close()
        session.close()


@pytest.mark.parametrize(("seconds", "viewers", "load"), [(1.0, 0, 0), (5.0, 16, 0), (5.0, 0, -1)])
def test_what_cannot_be_measured_is_refused(seconds: float, viewers: int, load: int) -> None:
    with pytest.raises(UserError, match="give"):
        check_live(seconds, viewers, load)


def test_a_run_in_which_the_governor_stepped_down_says_so() -> None:
    assert governor_line([(0.0, 1.0, 1.0)], 1.0) == "full size and all Gaussians throughout"
    said = governor_line([(0.0, 1.0, 1.0), (4.2, 0.7, 0.5)], 0.42)
    assert (
        "STEPPED DOWN, full effort 42% of the time" in said
        and "70% size and 50% of the Gaussians at 4 s" in said
    )


def test_processor_time_is_known_by_what_a_thread_does() -> None:
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            pass

    spinner = threading.Thread(target=spin, name="spinner_0")
    times = RoleTimes()
    spinner.start()
    try:
        times.begin()
        time.sleep(0.5)  # the system counts in steps of 10 ms
        while not (measured := times.end())[1].get("spinner"):
            time.sleep(0.05)
    finally:
        over.set()
        spinner.join()
    total, by_role = measured
    assert 0 < by_role["spinner"] <= total + 0.1


@pytest.mark.slow
@pytest.mark.skipif(bool(chromium_missing()), reason="Debian's chromium is not installed")
def test_the_whole_as_a_user_runs_it(
    face: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, shorter in (
        ("_STARTS", 1),
        ("_SETTLE_SECONDS", 0.5),
        ("_CAMERA_SECONDS", (3.0, 3.0)),
    ):
        monkeypatch.setattr(measure, name, shorter)
    monkeypatch.setattr(unwatched, "SETTLE_SECONDS", 3.0)
    save_avatar(tmp_path / "me.perse", dressable_avatar(gaussians=12_000))
    words = [
        "bench",
        "--live",
        str(tmp_path / "me.perse"),
        str(face),
        "--seconds",
        "6",
        "--viewers",
        "0",
        "--json",
    ]
    assert main(words) == 0
    out = capsys.readouterr()
    content = json.loads(out.out)
    live = content["live"]
    assert "Chromium" in live["viewer"] and content["machine"]["cores"] >= 1
    assert live["fps_drawn"] > 5 and live["fps_shown"] > 3 and live["start_to_ready_s"] > 0.5
    for part in ("drawn_to_canvas", "drawn_to_received", "hotkey_to_change"):
        assert 0 < live[part]["median"] <= live[part]["p95"] and live[part]["count"] >= 5
    assert (
        live["drawn_to_received"]["median"]
        < live["drawn_to_canvas"]["median"]
        < live["hotkey_to_change"]["median"]
    )
    fades = live["frame_in_fade"]
    assert 0 < fades["median"] <= fades["p95"] and 0 <= live["late_in_fades"] <= fades["count"]
    assert live["memory_start_mib"] > 50 and live["cost_per_viewer"] is None
    alone = content["unwatched"]
    assert (
        alone["fps"] > 5 and alone["governor"][0][0] == 0.0 and 0 <= alone["full_effort_share"] <= 1
    )
    # The system counts in steps of 10 ms: MediaPipe's threads may have none on a busy machine
    assert {"draw", "track"} <= set(alone["processor_by_role"])
    assert sum(alone["processor_by_role"].values()) <= alone["processor"] + 0.1
