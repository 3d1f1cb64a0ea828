"""perse-live: one portrait photo becomes a 3D head avatar that moves in real time on a CPU.

The public API is what `__all__` lists. Importing this package loads nothing else: each name loads
its module, and the packages that this needs, when it is first used. Modules below `perse_live`,
`offline`, `export` and `runtime` may change in any release; names in `__all__` change by the
deprecation policy in CONTRIBUTING.md.

    import perse_live

    avatar = perse_live.build_avatar("me.jpg", consent="I am the person in the photo")
    avatar.save("me.perse")
    smile = {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8}
    image = avatar.render(smile, pose=(20, 0, 0))  # (512, 512, 3) uint8 RGB
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offline.api import build_avatar
    from perse_live.animate import HeadPose
    from perse_live.avatar import Avatar
    from perse_live.errors import UserError
    from perse_live.head.expressions import EXPRESSION_NAMES
    from runtime.api import LiveSession, Tracker, drive
    from runtime.stage import Motion

    __version__: str

__all__ = [
    "EXPRESSION_NAMES",
    "Avatar",
    "HeadPose",
    "LiveSession",
    "Motion",
    "Tracker",
    "UserError",
    "__version__",
    "build_avatar",
    "drive",
]

_MODULES = {
    "EXPRESSION_NAMES": "perse_live.head.expressions",
    "Avatar": "perse_live.avatar",
    "HeadPose": "perse_live.animate",
    "LiveSession": "runtime.api",
    "Motion": "runtime.stage",
    "Tracker": "runtime.api",
    "UserError": "perse_live.errors",
    "build_avatar": "offline.api",
    "drive": "runtime.api",
}
"""Where each public name is defined."""


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("perse-live")
    elif name in _MODULES:
        from importlib import import_module

        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
