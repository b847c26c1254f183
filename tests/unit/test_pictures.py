"""The pictures of the documents: small, alone, and what a recording shows is what was seen."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from docs.pictures import BYTES_MAX, IMAGES, SESSION, TITLE
from docs.terminal import Screen, played, svg

SVG = "{http://www.w3.org/2000/svg}"


def shown(screen: Screen) -> list[str]:
    """Give what stands on a screen."""
    return ["".join(char for char, _ in line) for line in screen.lines]


@pytest.mark.parametrize("path", sorted(IMAGES.iterdir()), ids=lambda path: path.name)
def test_pictures_are_small(path: Path) -> None:
    """No picture is larger than the README should load."""
    assert 0 < path.stat().st_size <= BYTES_MAX


def test_the_recording_can_be_read() -> None:
    """It is text, asks for nothing from elsewhere, and has all of the session's commands."""
    root = ET.parse(IMAGES / "terminal.svg").getroot()  # noqa: S314 - our own
    assert root.findtext(f"{SVG}title") == TITLE
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        *("svg", "title", "style", "rect", "text", "tspan", "set")
    }
    lines = [
        "".join(text.itertext()) for text in root.iter(f"{SVG}text") if not text.get("visibility")
    ]
    prompts = [line.rstrip() for line in lines if line.startswith("$")]
    assert prompts == [*(f"$ {one}" for one in SESSION), "$"]
    assert "prefers-color-scheme: dark" in str(root.findtext(f"{SVG}style"))


def test_a_screen_shows_what_was_written() -> None:
    """Lines wrap at its width; a block that is cleared is gone; colours stay with their text."""
    screen = Screen(4)
    screen.feed("\x1b[32mok\x1b[0m then\r\nbar\r\n\x1b[1A\r\x1b[Jend\r\n")
    assert shown(screen) == ["ok t", "hen", "end", ""]
    assert [style for _, style in screen.lines[0]] == ["s32", "s32", "", ""]


def test_a_recording_has_each_line_for_its_time() -> None:
    """What was cleared has an end, what stayed has none, and a long wait is cut."""
    came = [(10.0, "one\r\n"), (10.5, "bar"), (99.0, "\r\x1b[Jtwo<")]
    seen = [
        ("".join(char for char, _ in line.cells), line.row, line.since_s, line.until_s)
        for line in played(came, 20)
    ]
    assert seen == [("one", 0, 0.0, None), ("bar", 1, 0.5, 2.0), ("two<", 1, 2.0, None)]
    drawn = svg(played(came, 20), 20, "a & b")
    root = ET.fromstring(drawn)  # noqa: S314 - our own
    hidden = {"".join(text.itertext()): text.get("visibility") for text in root.iter(f"{SVG}text")}
    assert hidden == {"one": None, "bar": "hidden", "two<": None}
