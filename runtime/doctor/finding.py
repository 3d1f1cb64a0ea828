"""Results of checks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, ParamSpec

from perse_live.errors import UserError, gist, one_line

P = ParamSpec("P")


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    name: str
    """Name of the check."""
    status: Literal["ok", "warning", "problem"]
    """Warning: something will be missing or slow; problem: live sessions will not work."""
    found: str
    """Result, in one line."""
    advice: str = ""
    """What to do; empty for nothing."""


def never_raising(name: str) -> Callable[[Callable[P, Finding]], Callable[P, Finding]]:
    """Turn whatever a check raises into a finding: one broken library must not hide what the other checks find."""

    def decorate(check: Callable[P, Finding]) -> Callable[P, Finding]:
        @functools.wraps(check)
        def checked(*args: P.args, **kwargs: P.kwargs) -> Finding:
            try:
                return check(*args, **kwargs)
            except UserError as error:
                return Finding(name, "problem", one_line(error))
            except Exception as error:
                return Finding(
                    name,
                    "problem",
                    gist(error),
                    "this should not happen: please report it with this line",
                )

        return checked

    return decorate
