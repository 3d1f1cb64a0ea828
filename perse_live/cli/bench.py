"""`perse-live bench`: how fast this machine draws."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from perse_live.cli.console import print_json, print_table, step_progress
from perse_live.cli.options import JsonSwitch


@dataclass(frozen=True)
class Bench:
    """Measure how fast this machine draws: milliseconds per stage, and frames per second."""

    json: JsonSwitch = False
    """Print one JSON object instead of a table."""


def run(command: Bench) -> None:
    """Measure, and print what was measured."""
    from runtime.bench import SIZE, bench, machine

    with step_progress() as progress:
        results = bench(progress=progress)
    if command.json:
        print_json({"machine": machine(), "width": SIZE, "height": SIZE,
                    "results": [{**asdict(result), "fps": result.fps} for result in results]})
        return
    print_table(machine())
    for result in results:
        times = ", ".join(f"{name} {timing.median_ms:.2f} ({timing.p95_ms:.2f})" for name, timing in result.stages.items())
        print(f"{result.visible:>6,} visible, {result.threads} thread{'s' if result.threads > 1 else ' '}: {result.fps:4.0f} fps;"
              f" ms median (p95): {times}")
