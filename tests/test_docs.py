"""Documents name files that exist, and list all commands and options that matter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perse_live.assets import ASSETS
from perse_live.cli.program import AnyCommand

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "examples" / "README.md"]
)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
_CODE_PATH = re.compile(r"`((?:perse_live|offline|export|runtime|tests|examples|\.ci)/[\w./-]*\w)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_and_every_path_leads_to_a_file(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert [link for link in _LINK.findall(text) if not (document.parent / link).exists()] == []
    paths = [path for path in _CODE_PATH.findall(text) if "COMMAND" not in path]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_page_is_in_the_site_s_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f": {page}\n" not in navigation] == []


def test_every_command_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for command in AnyCommand.__args__:
        name = {"attributes": "attribute"}.get(command.__name__.lower(), command.__name__.lower())
        assert re.search(rf"`perse-live \[?{name}\b", reference), name


def test_every_model_file_is_in_the_table_of_licences() -> None:
    licences = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    assert [
        asset.file_name
        for asset in ASSETS.values()
        if asset.sources and asset.file_name not in licences and asset.file_name != "astronaut.png"
    ] == []


def test_every_finding_of_doctor_is_in_the_table_of_causes() -> None:
    causes = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").lower()
    findings = {
        name
        for path in (ROOT / "runtime" / "doctor").glob("*.py")
        for name in re.findall(r'@never_raising\("([^"]+)"\)', path.read_text(encoding="utf-8"))
    }
    assert len(findings) > 10
    assert [name for name in findings if name.lower() not in causes] == []


def test_tests_that_the_table_of_platforms_names_exist() -> None:
    named = re.findall(
        r"`(test_\w+\.py)`", (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
    )
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert named and set(named) <= there
