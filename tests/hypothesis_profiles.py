"""How property tests are run: `ordinary` draws the same examples each time, `random` draws ten times as many, new each time.

`pytest -m hypothesis --hypothesis-profile=random` is what the scheduled job of the continuous integration runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import HealthCheck, settings

_DEFAULT = 100
"""Examples of a test that names no number, in the profile `ordinary`; hypothesis' own default."""

_NOT_TIMED = (HealthCheck.too_slow,)
"""Whether an example takes long depends on what else the machine does, so neither profile has a time limit."""


def register_profiles() -> None:
    """Register both profiles and load `ordinary`; the option --hypothesis-profile, read later, overrules it."""
    settings.register_profile(
        "ordinary", derandomize=True, deadline=None, suppress_health_check=_NOT_TIMED
    )
    settings.register_profile(
        "random",
        max_examples=10 * _DEFAULT,
        deadline=None,
        print_blob=True,
        suppress_health_check=_NOT_TIMED,
    )
    settings.load_profile("ordinary")


def examples(count: int, *, allowed: Sequence[HealthCheck] = ()) -> settings:
    """Settings for a test with so many examples in the profile `ordinary`, ten times as many in `random`.

    allowed: health checks that the test need not pass.
    """
    return settings(
        max_examples=count * settings().max_examples // _DEFAULT,
        suppress_health_check=(*_NOT_TIMED, *allowed),
    )
