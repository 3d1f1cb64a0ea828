"""The soak of `tests/soak.py`, short: what comes and goes in a session leaves nothing behind."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import pytest
from live_avatars import dressable_avatar
from PIL import Image
from running_session import scene

from perse_live.avatar import save_avatar
from perse_live.film.writer import film_writer
from soak import plot, soak, table

# As many events and samples as in a minute and a half by the usual pace
_SECONDS, _PACE = (36.0, 0.4)
_THREADS = 4  # more or fewer, as pools that are there already are used or not
_MIB = 40.0


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux",
    reason="descriptors and threads of another process are counted on Linux",
)
def test_what_comes_and_goes_leaves_nothing_behind(tmp_path: Path) -> None:
    for name, gaussians in (("me", 12_000), ("other", 9_000)):
        save_avatar(tmp_path / f"{name}.perse", dressable_avatar(gaussians=gaussians))
    with film_writer(tmp_path / "face.mp4", width=320, height=240, rate=Fraction(25)) as writer:
        for shift in range(75):
            writer.write(scene(shift=shift // 4))
    verdict = soak(
        [tmp_path / "me.perse", tmp_path / "other.perse"],
        tmp_path / "face.mp4",
        seconds=_SECONDS,
        folder=tmp_path,
        size="192",
        pace=_PACE,
    )
    told = table(verdict)
    assert verdict.events > 10 and not verdict.problems, told
    assert abs(verdict.growth("threads")) <= _THREADS, told
    assert verdict.growth("descriptors") <= _THREADS, told
    assert verdict.growth("rss_mib") < _MIB, told
    assert isinstance(plot(verdict), Image.Image)
    assert list(tmp_path.glob("perse-live-*.mp4")), "it recorded"
