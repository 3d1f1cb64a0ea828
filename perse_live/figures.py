"""The figures of the documentation: one JSON file, as `perse-live report` measures it, and the page that is rendered from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from perse_live.checked import CheckedError, parse_json_object
from perse_live.errors import UserError

FORMAT, VERSION = "perse-live figures", 1
"""Of the JSON file; a file of another version is not read."""
_LARGEST_FILE = 4 << 20  # bytes
_PART_FIELDS = (
    "command",
    "seconds",
    "processor_seconds",
    "commit",
    "release",
    "machine",
    "date",
    "result",
)

_HEAD = [
    "# Figures",
    "",
    "Measured and written by `perse-live report`; the [JSON file](figures.json) holds all that was printed.",
]

Part = Mapping[str, Any]
"""What `perse-live report` keeps of one measured command: `_PART_FIELDS`."""


@dataclass(frozen=True)
class Row:
    """A figure on the page."""

    part: str
    """Which measured command it is from."""
    what: str
    """What is measured."""
    value: Callable[[Part], str]
    """The figure with its unit, from the part. May raise LookupError or TypeError where it was not measured."""


def read_figures(path: Path) -> dict[str, Part]:
    """The parts of a file of figures, by name. Raises UserError, one line, for a file that is none, or of another version."""
    try:
        content = parse_json_object(path.read_bytes(), max_bytes=_LARGEST_FILE)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): give a file that perse-live report wrote"
        ) from error
    except CheckedError as error:
        raise UserError(f"{path} is not a file that perse-live report wrote: {error}") from error
    try:
        check_figures(content)
    except ValueError as error:
        raise UserError(
            f"{path} is not a file that perse-live report of this version wrote ({error}): measure again"
        ) from error
    return cast("dict[str, Part]", content["parts"])


def check_figures(content: Mapping[str, Any]) -> None:
    """Raises ValueError for a content that is not of this format."""
    if (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise ValueError("another format or version")
    parts = content.get("parts")
    if not isinstance(parts, dict):
        raise ValueError("it has no parts")
    for name, part in cast("dict[str, object]", parts).items():
        if not isinstance(part, dict) or not set(_PART_FIELDS) <= set(
            cast("dict[str, object]", part)
        ):
            raise ValueError(f"its part {name} is incomplete")


def _stage(part: Part, visible: int, threads: int) -> float:
    """Frames per second of the drawing bench nearest to a number of visible Gaussians."""
    rows = [row for row in part["result"]["results"] if row["threads"] == threads]
    return min(rows, key=lambda row: abs(row["visible"] - visible))["fps"]


def _drawing(part: Part) -> str:
    most = max(row["threads"] for row in part["result"]["results"])
    rates = " / ".join(f"{_stage(part, visible, most):.0f}" for visible in (10_000, 20_000, 50_000))
    return f"{rates} frames per second, {most} threads"


def _spread(part: Part, name: str) -> str:
    spread = part["result"]["live"][name]
    return f"{spread['median']:.0f} ms (95 %: {spread['p95']:.0f}; {spread['count']} times)"


def _stages(found: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {ms:.1f}" for name, ms in found.items()) + " ms"


def _engine(part: Part) -> str:
    stages = part["result"]["engines"][0]["stages"]
    return ", ".join(f"{name} {timing['median_ms']:.1f}" for name, timing in stages.items()) + " ms"


def _viewers(part: Part) -> str:
    rates = [f"{one['viewer']} {one['fps']:.1f}" for one in part["result"]["viewers"] if one["fps"]]
    return " / ".join(rates) + " frames per second"


def _faces(part: Part, measure: str) -> str:
    scores = [one[measure] for one in part["result"]["faces"].values() if one[measure] is not None]
    return f"{sum(scores) / len(scores):.2f} ({min(scores):.2f} to {max(scores):.2f}, {len(scores)} portraits)"


def _clips(part: Part, *measures: str) -> str:
    mean = part["result"]["mean"]
    return ", ".join(
        f"{name} {mean[name]:.3f}" if abs(mean[name]) < 2 else f"{name} {mean[name]:.2f}"
        for name in measures
        if mean.get(name) is not None
    )


def _file(part: Part) -> str:
    made = part["result"]
    return (
        f"{part['seconds']:.0f} s, {part['processor_seconds']:.0f} s of processor time; {made['gaussians']:,} Gaussians,"
        f" {made['bytes'] / 1e6:.1f} MB"
    )


ROWS: tuple[Row, ...] = (
    Row(
        "drawing",
        "drawing 512x512, all work of a frame, 10,000 / 20,000 / 50,000 visible Gaussians",
        _drawing,
    ),
    Row("build", "building an avatar without attributes, contact sheet included", _file),
    Row(
        "build",
        "the photo's view against the photo: person / face",
        lambda part: f"{part['result']['person_psnr']:.1f} / {part['result']['face_psnr']:.1f} dB",
    ),
    Row("build-attributes", "building an avatar with nine attributes", _file),
    Row(
        "engine",
        "the sample avatar at 512x512: all attributes to other weights, posing, drawing; median",
        _engine,
    ),
    Row(
        "start",
        "start of `drive` to its first frame, the whole process",
        lambda part: f"{part['result']['start']['median']:.1f} s",
    ),
    Row(
        "drive",
        "a whole film through `drive`, start included",
        lambda part: (
            f"{part['result']['fps']:.1f} frames per second ({part['result']['frames']} frames)"
        ),
    ),
    Row(
        "live",
        "start of `live` to `ready`",
        lambda part: f"{part['result']['live']['start_to_ready_s']:.1f} s",
    ),
    Row(
        "live",
        "live, without viewers",
        lambda part: (
            f"{part['result']['unwatched']['fps']:.1f} frames per second,"
            f" {part['result']['unwatched']['processor']:.2f} cores"
        ),
    ),
    Row(
        "live",
        "live, watched in Chromium: drawn / shown",
        lambda part: (
            f"{part['result']['live']['fps_drawn']:.1f} / {part['result']['live']['fps_shown']:.1f} frames per second"
        ),
    ),
    Row(
        "live",
        "stages of a frame, median",
        lambda part: _stages(part["result"]["live"]["stages_ms"]),
    ),
    Row(
        "live", "end of drawing to the page's canvas", lambda part: _spread(part, "drawn_to_canvas")
    ),
    Row(
        "live",
        "browser's camera to the answer on screen",
        lambda part: _spread(part, "camera_to_answer"),
    ),
    Row("live", "key to the first changed frame", lambda part: _spread(part, "hotkey_to_change")),
    Row(
        "live",
        "frame to frame while an attribute fades",
        lambda part: _spread(part, "frame_in_fade"),
    ),
    Row(
        "live",
        "each further viewer",
        lambda part: f"{part['result']['live']['cost_per_viewer']:.1f} % of a core",
    ),
    Row(
        "live",
        "resident memory, start / end",
        lambda part: (
            f"{part['result']['live']['memory_start_mib']:.0f} /"
            f" {part['result']['live']['memory_end_mib']:.0f} MiB"
        ),
    ),
    Row(
        "studio",
        "the studio in Chromium on the same cores: page load until the avatar follows the camera",
        lambda part: f"{part['result']['studio']['load_to_live_s']:.0f} s",
    ),
    Row(
        "studio",
        "of this, build: first picture / avatar without attributes",
        lambda part: (
            f"{part['result']['studio']['build_to_first_picture_s']:.1f} /"
            f" {part['result']['studio']['build_s']:.1f} s"
        ),
    ),
    Row(
        "studio",
        "live while attributes are learned: drawn / shown",
        lambda part: (
            f"{part['result']['studio']['fps_while_learning']:.1f} /"
            f" {part['result']['studio']['fps_shown_while_learning']:.1f} frames per second"
        ),
    ),
    Row(
        "studio",
        "weight of the page",
        lambda part: f"{part['result']['studio']['page_kib']:.0f} KiB",
    ),
    Row("peers", "the same Gaussians in Chromium without a GPU, ours first", _viewers),
    Row(
        "attributes",
        "outside the attribute's part, on against off, least",
        lambda part: f"{part['result']['summary']['outside_psnr_least']:.1f} dB",
    ),
    Row(
        "attributes",
        "evenness of a fade: largest over mean step, mean / worst",
        lambda part: (
            f"{part['result']['summary']['step_ratio_mean']:.2f} /"
            f" {part['result']['summary']['step_ratio_largest']:.2f}"
        ),
    ),
    Row(
        "attributes",
        "sharpness of in-betweens / of a plain cross-fade",
        lambda part: (
            f"{part['result']['summary']['sharpness_mean']:.2f} /"
            f" {part['result']['summary']['crossfade_sharpness_mean']:.2f}"
        ),
    ),
    Row("portraits", "portraits: person psnr, dB", lambda part: _faces(part, "person_psnr")),
    Row("portraits", "portraits: face psnr, dB", lambda part: _faces(part, "face_psnr")),
    Row("portraits", "portraits: specks, 0.01 Delta E", lambda part: _faces(part, "specks")),
    Row("portraits", "portraits: holes, %", lambda part: _faces(part, "holes")),
    Row("portraits", "portraits: border steps, Delta E", lambda part: _faces(part, "border_steps")),
    Row("portraits", "portraits: open lids, %", lambda part: _faces(part, "open_lids")),
    Row(
        "clips",
        "self-reenactment: likeness",
        lambda part: _clips(part, "psnr", "psnr_in", "ssim", "psnr_mouth", "psnr_eyes"),
    ),
    Row(
        "clips",
        "self-reenactment: motion",
        lambda part: _clips(part, "akd", "akd_expr", "bs_corr", "pose_deg", "jitter"),
    ),
    Row("clips", "self-reenactment: identity", lambda part: _clips(part, "id_ref", "id_ceil")),
)
"""Every figure of the page, in its order."""


def is_figures_page(path: Path) -> bool:
    """Whether a file is a page that `figures_page` made."""
    try:
        with path.open(encoding="utf-8") as file:
            return [file.readline().rstrip("\n") for _ in _HEAD] == _HEAD
    except (OSError, UnicodeDecodeError):
        return False


def figures_page(parts: Mapping[str, Part]) -> str:
    """The page of figures in Markdown: the table, then each command with its commit, machine and date."""
    lines = [
        *_HEAD,
        "What the measures mean: [how it is measured](measures.md).",
        "",
        "| what | figure | part |",
        "|---|---|---|",
    ]
    for row in ROWS:
        part = parts.get(row.part)
        if part is None:
            continue
        try:
            shown = row.value(part)
        except (LookupError, TypeError, ValueError, ZeroDivisionError):
            continue  # not measured on that machine, as without Chromium
        if shown:
            lines.append(f"| {row.what} | {shown} | {row.part} |")
    lines += ["", "| part | command | commit | date | machine |", "|---|---|---|---|---|"]
    for name, part in parts.items():
        machine = part["machine"]
        load = machine.get("load")
        busy = "" if load is None else f", load {load:g} at the end"
        lines.append(
            f"| {name} | `{part['command']}` | {part['commit'] or part['release']} | {part['date'][:10]} |"
            f" {machine['processor']}, {machine['cores']} cores, Python {machine['python']}{busy} |"
        )
    missing = list(dict.fromkeys(row.part for row in ROWS if row.part not in parts))
    if missing:
        lines += ["", f"Not measured yet: {', '.join(missing)}."]
    return "\n".join([*lines, ""])
