"""The error type shown to users, and conversion of library errors to one line."""

from __future__ import annotations

_LONGEST = 400  # characters of a message: more is a dump


class UserError(Exception):
    """Bad input or a missing requirement that the user can fix.

    The message is one line: what is wrong, where, and what to do. The command line prints it on stderr and exits with 2.
    """


def one_line(said: object, most: int = _LONGEST) -> str:
    """An error, or a library's message, on one line that any terminal can show; the type's name where an error says nothing.

    most: characters; what is longer is cut.
    """
    text = "".join(
        character if character.isprintable() else " " for character in " ".join(str(said).split())
    )
    if not text and isinstance(said, BaseException):
        text = type(said).__name__
    return text if len(text) <= most else f"{text[: most - 3]}..."


def gist(error: BaseException, most: int = 300) -> str:
    """An error's type and text on one line; of a compiler's output the first line that speaks of an error."""
    lines = str(error).splitlines()
    text = one_line(next((line for line in lines if "error:" in line.lower()), str(error)), most)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
