"""The one error type that users are meant to see."""

from __future__ import annotations


class UserError(Exception):
    """Bad input or a missing thing that the user can mend.

    The message is one line: what is wrong, where, and what to do. The command line prints it on stderr and exits with 2.
    """
