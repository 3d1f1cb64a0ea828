"""Optional parts of the installation, and the command that adds the one that is missing."""

from __future__ import annotations

import sys
from pathlib import PurePath

from perse_live.errors import UserError


def install_command(extra: str, *, prefix: str | None = None) -> str:
    """The command that adds an extra to this installation.

    extra: as in pyproject.toml, such as "offline"; prefix: folder of the Python environment, None
    for the one that runs. Environments that uv and pipx manage are replaced as a whole, since
    their pip would be undone by the next upgrade.
    """
    requirement = f'"perse-live[{extra}]"'  # in quotes: zsh and fish read brackets as a pattern
    folders = [part.lower() for part in PurePath(prefix or sys.prefix).parts]
    if "uv" in folders:
        return (
            f"uv tool install --force {requirement}"
            if "tools" in folders
            else f"uvx --from {requirement} perse-live"
        )
    if "pipx" in folders:
        return (
            f"pipx install --force {requirement}"
            if "venvs" in folders
            else f"pipx run --spec {requirement} perse-live"
        )
    return f"pip install {requirement}"


def missing_extra(purpose: str, extra: str, error: ImportError) -> UserError:
    """The message for a feature whose packages are not installed, or are installed but cannot be
    imported.

    purpose: the feature, such as "building an avatar". Lazy importers such as that of transformers
    raise ModuleNotFoundError without a name where a package that they import is broken;
    torchvision made for another torch is the usual one.
    """
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        return UserError(
            f"{purpose} needs the package {error.name}, which is not installed:"
            f" {install_command(extra)}"
        )
    cause = next(iter(str(error).splitlines()), repr(error))
    return UserError(
        f"{purpose} needs a package that cannot be imported: {cause}; reinstall it, or install"
        f" perse-live[{extra}] into a fresh environment"
    )
