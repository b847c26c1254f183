"""Wrong definitions that people really write: each is refused, with its place and what to do."""

from __future__ import annotations

import codecs
import json
import re
import sys
import time  # noqa: TID251 - measures how long loading takes
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from engine.definitions import load_file
from engine.definitions.forms import CURLY
from engine.definitions.loader import look_at
from engine.definitions.source import Source
from engine.errors import DefinitionError, Fault
from engine.text import columns

HERE = Path(__file__).resolve().parent
BAD = HERE.parent / "bad_definitions"
EXPECTED = json.loads((BAD / "expected.json").read_text("utf-8"))
STEPS = "steps:\n  - name: a\n    command: x\n"

_CASE = re.compile(
    r"^===== ([^\n]+) \((\.\w+)(, with escapes)?\)\n(.*?)\n((?:@ [^\n]*\n)+)",
    re.MULTILINE | re.DOTALL,
)
_FAULT = re.compile(r"@ (\S+) (.*)\n@   (.*)\n")


def table() -> list[Any]:
    """Give suffix, text and expected faults of each case."""
    cases = _CASE.findall((HERE / "wrong_definitions.txt").read_text("utf-8"))
    return [
        pytest.param(suffix, _unescaped(text) if escapes else text, _FAULT.findall(told), id=name)
        for name, suffix, escapes, text, told in cases
    ]


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text)


def faults_of(path: Path, data: bytes) -> tuple[Fault, ...]:
    """Give what is wrong with a file of this content."""
    path.write_bytes(data)
    with pytest.raises(DefinitionError) as caught:
        load_file(path)
    assert not {"a", "pkg", "mypackage"} & set(sys.modules)  # named by the cases, and not imported
    return caught.value.faults


def fits(told: str, expected: str) -> bool:
    """Tell whether a text is the expected one, or begins so where that ends in `…`."""
    return told.startswith(expected[:-1]) if expected.endswith("…") else told == expected


def shown(text: str) -> str:
    """Give a message as the table has it."""
    return "".join(
        char if " " <= char <= "~" or char in {*CURLY, "é", "…", "🚀"} else f"\\u{ord(char):04x}"
        for char in text
    )


def test_the_table_is_long() -> None:
    """No case is lost in reading it."""
    text = (HERE / "wrong_definitions.txt").read_text("utf-8")
    assert len(table()) == len(re.findall(r"^===== ", text, re.MULTILINE)) > 180


@pytest.mark.parametrize(("suffix", "text", "expected"), table())
def test_wrong(suffix: str, text: str, expected: list[tuple[str, ...]], tmp_path: Path) -> None:
    """Each fault has its place, its words and a hint of its own; all of them are told."""
    faults = faults_of(tmp_path / f"flow{suffix}", f"{text}\n".encode())
    told = [(f"{one.line}:{one.column}", shown(one.message), one.hint) for one in faults]
    assert len(told) == len(expected), told
    for (place, message, hint), wanted in zip(told, expected, strict=True):
        assert place == wanted[0], told
        assert fits(message, wanted[1]), told
        assert fits(hint, wanted[2]), told
    lines = text.split("\n")
    for one in faults:
        assert one.line is not None
        assert one.column is not None
        assert 1 <= one.line <= len(lines)
        assert 1 <= one.column <= len(lines[one.line - 1]) + 1


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        (b"", "None:None", "the file is empty"),
        (codecs.BOM_UTF8, "None:None", "the file is empty"),
        (b"---\n", "None:None", "the file is empty"),
        (b"~\n", "None:None", "the file is empty"),
        (STEPS.encode("utf-16"), "None:None", "the file is UTF-16 or UTF-32, not UTF-8"),
        (STEPS.encode("utf-16-be"), "None:None", "the file is UTF-16 or UTF-32, not UTF-8"),
        (STEPS.encode("utf-32"), "None:None", "the file is UTF-16 or UTF-32, not UTF-8"),
        ("# é\n# caf\xe9\n".encode("latin-1"), "1:3", "the byte 0xE9 here is not UTF-8"),
        ("# \ufffd\n".encode() + b"# \xff\n", "2:3", "the byte 0xFF here is not UTF-8"),
        (
            STEPS.encode() + b"\0",
            "4:1",
            "the character \\u0000 stands here: NUL, which no text holds",
        ),
        (b"\0" * 16_000_001, "None:None", "the file is larger than 16 MB"),
        (STEPS.replace("\n", "\r\n").encode() + b"x: 1\r\n", "4:1", "unknown key 'x'"),
        (STEPS.replace("\n", "\r").encode() + b"x: 1\r", "4:1", "unknown key 'x'"),
    ],
)
def test_wrong_bytes(data: bytes, place: str, message: str, tmp_path: Path) -> None:
    """What is no text, or is one of another encoding."""
    (fault,) = faults_of(tmp_path / "flow.yaml", data)
    assert (f"{fault.line}:{fault.column}", fault.message) == (place, message)
    assert fault.hint


@pytest.mark.parametrize("case", EXPECTED, ids=[case["file"] for case in EXPECTED])
def test_bad_definitions(case: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    """Verdict, place and words of each file are as expected; nothing is executed."""
    monkeypatch.chdir(tmp_path)
    found = look_at(BAD / case["file"], in_folder=False)
    assert list(tmp_path.iterdir()) == []
    if case["verdict"] == "ok" or case["file"] == "name-no.yaml":
        assert found.error is None
        assert found.definition is not None
        assert {"name-no.yaml": "no"}.get(case["file"]) in (None, found.definition.steps[0].name)
        return
    assert isinstance(found.error, DefinitionError)
    first = found.error.faults[0]
    if case["line"]:
        assert (first.line, first.column) == (case["line"], case["column"])
    told = "\n".join(f"{message} {hint}" for message, hint in found.error.complaints()).lower()
    for word in case["message_must_mention"]:
        wanted = {"line": f":{case['line']}:", "first line": "line "}.get(word, word)
        assert wanted.lower() in told
    for word in case.get("message_must_not_mention", []):
        assert word not in told


@pytest.mark.parametrize(
    ("line", "column", "excerpt"),
    [
        ("x: \t[", 5, "    x:  [\n        ^"),
        ("  名前: x: y", 3, "    名前: x: y\n    ^"),
        ("名前é: ]", 6, "    名前é: ]\n           ^"),
        ("e\u0301\u200bx: @", 6, "    e\u0301\\u200bx: @\n             ^"),
        ("a" * 300, 200, f"    …{'a' * 60}{'a' * 38}…\n{' ' * 65}^"),
        ("\x1b[31m \u202e x", 9, "    \\x1b[31m \\u202e x\n                    ^"),
    ],
)
def test_the_caret_stands_below_its_place(line: str, column: int, excerpt: str) -> None:
    """Tabs, wide, combining and hidden characters do not shift it; a long line is cut."""
    source = Source(Path("x"), f"first\n{line}\n")
    with pytest.raises(DefinitionError) as caught:
        source.refuse("m", "h", 2, column)
    assert caught.value.faults[0].excerpt == excerpt


def test_many_faults_are_cut_short(tmp_path: Path) -> None:
    """The first are told in order of their lines; of the others how many there are."""
    text = "steps:\n" + "".join(f"  - name: s{n}\n    comand: x\n" for n in range(1_000))
    faults = faults_of(tmp_path / "x.yaml", text.encode())
    assert len(faults) == 51
    assert faults[0].message == "step 's0': unknown key 'comand'"
    assert str(faults[50]) == f"{tmp_path / 'x.yaml'}: and 950 more"
    assert [one.line for one in faults[:50]] == list(range(3, 103, 2))


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("#\n" * 1_000_000 + "a: b: c\n", "1000001:1", "the value of 'a' holds ': '"),
        ("\n" * 2_000_000 + "steps: [\n", "2000001:1", "this line is not YAML"),
        (f"{'x' * 2_000}: 1\n", "1:1", "a key of that length is not taken"),
    ],
)
def test_what_is_long_is_told_soon(text: str, place: str, message: str, tmp_path: Path) -> None:
    """What stands above a fault is looked at, and not all of it."""
    begun = time.process_time()
    (fault,) = faults_of(tmp_path / "flow.yaml", text.encode())
    assert (f"{fault.line}:{fault.column}", fault.message[: len(message)]) == (place, message)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_compared_as_they_are(form: Any, tmp_path: Path) -> None:
    """A name that is not in NFC is refused, not made another one."""
    name = unicodedata.normalize(form, "café")
    path = tmp_path / "x.yaml"
    path.write_text(f"steps:\n  - {{name: {name}, command: x}}\n", "utf-8")
    if form == "NFC":
        assert load_file(path).steps[0].name == name
        return
    (fault,) = faults_of(path, path.read_bytes())
    assert fault.message.endswith("is not in Unicode normal form NFC")
    assert columns(fault.excerpt.split("\n")[0]) == len("    - {name: café, command: x}")
