"""The page's second language is complete: every text that its code or its HTML shows has a translation."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser

from runtime.web.pages import PAGE_FOLDER

_SPOKEN = ("aria-label", "title", "placeholder", "data-tip")
_LITERAL = r'"((?:[^"\\\n]|\\.)*)"'
_SAME = {"perse-live", "avatar"}  # in every language: the second is what the badge says


def translated() -> set[str]:
    """The texts that the strings file has a German one for."""
    source = (PAGE_FOLDER / "strings.js").read_text("utf-8")
    return set(re.findall(rf"{_LITERAL}: ", source[source.index("de: {") :]))


def texts_of_code() -> Iterator[tuple[str, str]]:
    """What goes through `t`, straight or by the parts that call it, and all literals that read like a sentence."""
    for path in sorted(PAGE_FOLDER.rglob("*.js")):
        if path.name == "strings.js":
            continue
        code = re.sub(r"/\*.*?\*/", "", path.read_text("utf-8"), flags=re.DOTALL)
        code = re.sub(r"(^|\s)//[^\n]*", "", code)
        called = r"\b(?:t|button)\(\s*" if path.parent.name == "studio" else r"\bt\(\s*"
        found = set(re.findall(called + _LITERAL, code))
        found |= {
            one for one in re.findall(_LITERAL, code) if re.match(r"[A-Z][a-z’']* [a-z]", one)
        }
        for one in sorted(found - {""}):
            yield path.name, one


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skipped += tag in ("script", "style", "symbol")
        self.found |= {value for name, value in attrs if name in _SPOKEN and value}

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag in ("script", "style", "symbol")

    def handle_data(self, data: str) -> None:
        text = " ".join(html.unescape(data).split())
        if not self._skipped and re.search("[A-Za-z]{2}", text):
            self.found.add(text)


def test_every_text_of_the_code_is_translated() -> None:
    known = translated()
    texts = list(texts_of_code())
    assert len(texts) > 200, "the patterns find no texts any more"
    assert [(where, text) for where, text in texts if text not in known] == []


def test_every_text_of_the_pages_is_translated() -> None:
    known = translated() | _SAME
    for name in ("index.html", "watch.html"):
        parser = _Texts()
        parser.feed((PAGE_FOLDER / name).read_text("utf-8"))
        assert sorted(parser.found - known) == [], name


def test_places_in_a_text_are_those_of_its_translation() -> None:
    source = (PAGE_FOLDER / "strings.js").read_text("utf-8")
    pairs = re.findall(rf"{_LITERAL}: {_LITERAL}", source[source.index("de: {") :])
    assert len(pairs) > 300
    for english, german in pairs:
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", german)), (
            english
        )
