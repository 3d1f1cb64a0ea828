"""The page's files, which lie in this package's folder `page`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

PAGE_FOLDER = Path(__file__).parent / "page"
_TYPES: Mapping[str, str] = MappingProxyType(
    {  # said here: the system's table is wrong on some Windows machines
        ".html": "text/html",
        ".css": "text/css",
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".json": "application/json",
        ".webmanifest": "application/manifest+json",
        ".svg": "image/svg+xml",
        ".png": "image/png",
        ".ico": "image/x-icon",
        ".woff2": "font/woff2",
    }
)


def page_file(name: str, folder: Path = PAGE_FOLDER) -> tuple[bytes, str] | None:
    """A file's content and media type; None where there is no such file, or it is none of a page's.

    name: its path in the folder, with slashes; nothing outside of the folder is given out.
    """
    root = folder.resolve()
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return None
        kind = _TYPES.get(path.suffix.lower())
        return None if kind is None else (path.read_bytes(), kind)
    except (OSError, ValueError):  # a name too long, a NUL in it
        return None
