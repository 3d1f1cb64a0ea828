"""Chromium with the live page, in a separate process, so that its cost is not counted as the session's.

`python -m runtime.bench.live.spectator URL FILM SECONDS keys|camera SETTLE`: presses keys, or gives the page a camera that shows
FILM. Prints JSON, a line each: `{"begin": TIME}` when all is settled, `{"done": SHARE}` now and then, in the end what was noted.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from runtime.bench.live.chromium import chromium, probed_page
from runtime.bench.live.nodding_film import HALF_SECONDS

SETTLE_SECONDS = 3.0
"""After which encoder, governor and browser are at ease."""
_KEY_EVERY = (0.35, 0.6)  # seconds
_COLLECT_SECONDS = 10.0


def main(url: str, film: Path, seconds: float, what: str, settle: float) -> None:
    """Watch, and print what is seen."""
    with chromium(film) as browser, probed_page(browser, url) as page:
        if what == "camera":
            _lend_camera(page)
        page.wait_for_timeout(1000 * settle)
        page.evaluate(
            "keeps => Object.assign(perseBench, { looksAtPicture: true, keepsPictures: keeps })",
            what == "camera",
        )
        if what == "keys":
            page.keyboard.press("b")
            page.wait_for_timeout(500)
        _collect(page)  # what was before
        begin, chance, pressed, collected = time.monotonic(), random.Random(0), 0, 0.0
        noted: dict[str, list[Any]] = {}
        _tell(begin=time.time())
        while (passed := time.monotonic() - begin) < seconds:
            if what == "keys":
                page.keyboard.press("vb"[pressed % 2])
                pressed += 1
            page.wait_for_timeout(1000 * chance.uniform(*_KEY_EVERY))
            if passed - collected > _COLLECT_SECONDS:
                collected = passed
                _add(noted, _collect(page))
            _tell(done=min(passed / seconds, 1.0))
        end = time.time()
        last = _collect(page)
        _add(noted, last)
        _tell(
            end=end,
            seconds=passed,
            viewer=f"Chromium {browser.version}",
            problem=last["problem"],
            **noted,
        )


def _lend_camera(page: Any) -> None:
    page.locator("#camera-toggle").click()
    page.wait_for_function(
        "document.querySelector('#camera-dock').getAttribute('aria-pressed') === 'true'",
        timeout=20_000,
    )
    page.wait_for_timeout(2000 * HALF_SECONDS)  # until the driver's face at rest is learned


def _collect(page: Any) -> dict[str, Any]:
    """What the probe has noted since the last time."""
    return page.evaluate("""() => {
      const { shown, pictures, keys, marks, problem } = perseBench;
      Object.assign(perseBench, { shown: [], pictures: [], keys: [], marks: [] });
      return { shown, pictures, keys, marks, problem };
    }""")


def _add(noted: dict[str, list[Any]], more: dict[str, Any]) -> None:
    for name in ("shown", "pictures", "keys", "marks"):
        noted.setdefault(name, []).extend(more[name])


def _tell(**content: object) -> None:
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
