"""A page to leaf through a data set: one HTML file beside it, without anything from elsewhere."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from typing import Any

from offline.dataset.layout import DRAWN_BY, Dataset, DatasetLook
from perse_live.head.expressions import EXPRESSION_NAMES

PAGE_FILE = "index.html"
_KINDS = ("rgb", "alpha", "part", "depth", "normals", "semantic")
_MARK = "/*DATA*/null"
_NOTICED = 0.05  # score of an expression under which it is left out of the page


def page_of(dataset: Dataset) -> str:
    """The page's text; pictures are named relative to the data set's folder."""
    root = dataset.root.resolve()
    content: dict[str, Any] = {
        "title": root.name,
        "manifest": None if dataset.manifest is None else _facts(dataset),
        "looks": [_look(dataset, look) for look in dataset.looks],
        "moments": [
            {
                "split": frame.split,
                "expression": [
                    [name, round(float(score), 2)]
                    for name, score in zip(EXPRESSION_NAMES, frame.expression, strict=True)
                    if score >= _NOTICED
                ],
            }
            for frame in dataset.looks[0].frames
        ],
    }
    template = files("offline.dataset").joinpath("page.html").read_text("utf-8")
    # "</" would end the script that the data stand in
    return template.replace(_MARK, json.dumps(content, allow_nan=False).replace("</", "<\\/"))


def _facts(dataset: Dataset) -> dict[str, Any]:
    manifest = dataset.manifest
    assert manifest is not None
    motion = manifest.motion
    return {
        "frames": f"{manifest.frames} of each look, the first {manifest.train_frames} for training",
        "pictures": f"{manifest.size} x {manifest.size} pixels",
        "motion": f"built-in, seed {motion.seed}" if motion.kind == "built-in" else motion.kind,
        "consent": f"{manifest.avatar.consent_by}, {manifest.avatar.consent_at}",
        "made by": f"{manifest.creator}, {manifest.created}",
    }


def _look(dataset: Dataset, look: DatasetLook) -> dict[str, Any]:
    root = dataset.root.resolve()
    entry = look.entry
    kinds = {kind: getattr(look.frames[0].files, kind) for kind in _KINDS}
    return {
        "name": look.name,
        "label": look.name if entry is None else entry.label,
        "about": ""
        if entry is None
        else ", ".join(
            filter(None, (entry.category or entry.slot, f"drawn by {DRAWN_BY[entry.animator]}"))
        ),
        "files": {
            kind: [
                os.path.relpath(getattr(frame.files, kind), root).replace(os.sep, "/")
                for frame in look.frames
            ]
            for kind, path in kinds.items()
            if path is not None
        },
    }
