"""The results of a batch: a CSV table, and a page with the contact sheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from perse_live.files import CREATOR, write_bytes

CSV_FILE, PAGE_FILE = "report.csv", "report.html"
_COLUMNS = (
    "line",
    "name",
    "photo",
    "state",
    "seconds",
    "tries",
    "figures",
    "files",
    "warnings",
    "error",
)
_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
)  # spreadsheets take cells with these first characters for formulas

State = Literal["made", "kept", "refused", "failed"]


@dataclass(frozen=True)
class Result:
    """Result of one row."""

    line: int
    name: str
    photo: str
    state: State
    """kept: it was finished before."""
    error: str = ""
    seconds: float = 0.0
    tries: int = 1
    warnings: tuple[str, ...] = ()
    figures: dict[str, float] = field(default_factory=dict[str, float])
    files: tuple[str, ...] = ()
    """Relative to the folder, with slashes."""
    sheet: str = ""
    """Which of them is the contact sheet."""


def write_report(
    folder: Path, title: str, results: Sequence[Result], *, seconds: float, workers: int
) -> list[str]:
    """Write both reports into a folder. seconds: that the batch took. Returns their names."""
    ordered = sorted(results, key=lambda one: one.line)
    write_bytes(folder / CSV_FILE, _table(ordered).encode("utf-8-sig"))
    write_bytes(folder / PAGE_FILE, _page(title, ordered, seconds, workers).encode())
    return [CSV_FILE, PAGE_FILE]


def summary(results: Sequence[Result]) -> str:
    """Numbers of rows by state, as text."""
    counts = {
        state: sum(one.state == state for one in results)
        for state in ("made", "kept", "refused", "failed")
    }
    return ", ".join(
        f"{count} {state}" for state, count in counts.items() if count or state == "made"
    )


def _table(results: Sequence[Result]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for one in results:
        cells = (
            str(one.line),
            one.name,
            one.photo,
            one.state,
            f"{one.seconds:.1f}",
            str(one.tries),
            _figures(one),
            " ".join(one.files),
            "; ".join(one.warnings),
            one.error,
        )
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return text.getvalue()


def _figures(one: Result) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in one.figures.items())


def _page(title: str, results: Sequence[Result], seconds: float, workers: int) -> str:
    made = [one.seconds for one in results if one.state == "made"]
    facts = [summary(results), f"{workers} at the same time", f"{seconds:.0f} s"]
    if made and seconds > 0:
        facts.append(
            f"{sum(made) / len(made):.0f} s for each made, {3600 * len(made) / seconds:.0f} an hour"
        )
    # Failures first
    rows = "\n".join(map(_article, sorted(results, key=lambda one: one.state in ("made", "kept"))))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="{CREATOR}">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #26282c; background: #f4f5f6; margin: 0 auto; max-width: 1100px;
  padding: 24px }}
h1 {{ font-size: 26px; margin: 0 }} h2 {{ font-size: 18px; margin: 0 }} p {{ margin: 4px 0 }}
.facts, .small {{ color: #6b7078 }} .small {{ font-size: 14px; overflow-wrap: anywhere }}
article {{ background: #fff; border-radius: 10px; margin: 16px 0; padding: 16px 20px; border-left: 6px solid #3a9d6a }}
article.kept {{ border-color: #9aa1ab }} article.refused, article.failed {{ border-color: #c8442f }}
.state {{ font-weight: normal; color: #6b7078 }} .error {{ color: #a5311f }}
img {{ width: 100%; margin-top: 10px; border-radius: 6px }}
</style></head><body>
<h1>{escape(title)}</h1>
<p class="facts">{escape("; ".join(facts))}</p>
{rows}
</body></html>
"""


def _article(one: Result) -> str:
    parts = [
        f'<article class="{one.state}"><h2>{escape(one.name or "no name")} <span class="state">line {one.line}, {one.state}'
        + (f" in {one.seconds:.0f} s" if one.state == "made" else "")
        + "</span></h2>"
    ]
    if one.error:
        parts.append(f'<p class="error">{escape(one.error)}</p>')
    parts += [f"<p>{escape(warning)}</p>" for warning in one.warnings]
    details = [one.photo, _figures(one), f"tried {one.tries} times" if one.tries > 1 else ""]
    parts.append(f'<p class="small">{escape("; ".join(filter(None, details)))}</p>')
    if one.files:
        links = ", ".join(
            f'<a href="{escape(quote(file))}">{escape(file)}</a>' for file in one.files
        )
        parts.append(f'<p class="small">{links}</p>')
    if one.sheet:
        parts.append(
            f'<a href="{escape(quote(one.sheet))}"><img loading="lazy" src="{escape(quote(one.sheet))}"'
            f' alt="contact sheet of {escape(one.name)}"></a>'
        )
    return "\n".join(parts) + "</article>"
