"""How many avatars an hour `perse-live batch` builds with one worker, two and so on, and the plot of docs/reach.md.

    python tests/batch_throughput.py FOLDER_OF_PORTRAITS --workers 1 2 --rows 4 --plot docs/batch-throughput.svg

Rows have no looks. The time is that of the whole command, its start and report included. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from perse_live.child import module_command

_WIDTH, _HEIGHT, _MARGIN = 480, 280, 56  # of the plot


def seconds_for(portraits: Sequence[Path], workers: int) -> float:
    """Of a batch of these portraits."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "list.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["photo", "name", "consent", "looks"])
            for number, path in enumerate(portraits):
                rows.writerow([path.resolve(), f"row-{number}", "yes", "none"])
        words = module_command(
            "perse_live.cli", "batch", str(table), "-o", f"{folder}/out", "--jobs", str(workers)
        )
        start = time.monotonic()
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        return time.monotonic() - start


def plot(per_hour: dict[int, float], path: Path) -> None:
    """Avatars an hour against workers, with the line of a throughput that grows with them, as SVG."""
    workers, top = (
        max(per_hour),
        1.15 * max(max(per_hour.values()), per_hour[min(per_hour)] * max(per_hour)),
    )

    def place(count: float, rate: float) -> tuple[float, float]:
        x = _MARGIN + (_WIDTH - 1.5 * _MARGIN) * count / workers
        return round(x, 1), round(_HEIGHT - _MARGIN - (_HEIGHT - 1.5 * _MARGIN) * rate / top, 1)

    first = min(per_hour)
    (x0, y0), (x1, y1) = place(0, 0), place(workers, per_hour[first] / first * workers)
    points = [(*place(count, rate), count, rate) for count, rate in sorted(per_hour.items())]
    line = " ".join(f"{x},{y}" for x, y, _, _ in points)
    marks = "".join(
        f'<circle cx="{x}" cy="{y}" r="4" fill="#4650c8"/>'
        f'<text x="{x - 8}" y="{y - 10}" text-anchor="end">{rate:.0f}</text>'
        f'<text x="{x}" y="{y0 + 20}" text-anchor="middle">{count}</text>'
        for x, y, count, rate in points
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="13"'
        f' fill="#333"><rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>'
        f'<path d="M{x0},{_MARGIN / 2} V{y0} H{_WIDTH - _MARGIN / 2}" fill="none" stroke="#888"/>'
        f'<path d="M{x0},{y0} L{x1},{y1}" stroke="#bbb" stroke-dasharray="5 4"/>'
        f'<polyline points="{line}" fill="none" stroke="#4650c8" stroke-width="2"/>{marks}'
        f'<text x="{(x0 + x1) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">workers</text>'
        f'<text transform="translate(18 {(y0 + _MARGIN / 2) / 2}) rotate(-90)" text-anchor="middle">avatars an hour</text>'
        "</svg>\n",
        encoding="utf-8",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("portraits", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    found = sorted(one for one in options.portraits.iterdir() if one.suffix == ".jpg")
    seconds = {
        count: seconds_for([found[k % len(found)] for k in range(options.rows)], count)
        for count in options.workers
    }
    per_hour = {count: 3600 * options.rows / used for count, used in seconds.items()}
    if options.plot is not None:
        plot(per_hour, options.plot)
    result = {
        "cores": os.cpu_count(),
        "rows": options.rows,
        "seconds": {count: round(used, 1) for count, used in seconds.items()},
        "per_hour": {count: round(rate, 1) for count, rate in per_hour.items()},
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
