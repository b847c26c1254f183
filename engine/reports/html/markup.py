"""HTML that is escaped as it is put together: no text gets into a page in any other way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape

from engine.text import printable, printable_lines


class Html(Markup):
    """A piece of HTML; what is formatted into it is made printable and escaped, unless it is one.

    So a text shows what it holds, as in a terminal: no mark in it turns round what is beside it.
    """

    __slots__ = ()

    @classmethod
    def escape(cls, text: Any, /) -> Html:
        """Escape a text for the inside of an element or of a quoted attribute."""
        if hasattr(text, "__html__"):
            return cls(text.__html__())
        return cls(escape(printable(str(text))))

    def format(self, *args: Any, **named: Any) -> Html:
        """Fill the template in; what is no HTML and no number is escaped.

        That of `Markup` does the same in Python, which takes five times as long.
        """
        filled = str.format(self, *map(_inside, args), **{k: _inside(named[k]) for k in named})
        return self.__class__(filled)


def _inside(value: Any) -> Any:
    return value if isinstance(value, int | float) else Html.escape(value)


EMPTY = Html()


def joined(parts: Iterable[Any], between: str = "") -> Html:
    """Put parts one after the other; those that are no HTML are escaped."""
    return Html(between).join(parts)


def broken(text: str) -> Html:
    """Give a text of a few lines for a paragraph or a cell."""
    if "\n" not in text:
        return Html.escape(text)
    return joined(printable_lines(text), "<br>")


def lines(text: str, most: int = 0) -> Html:
    """Give a text of many lines for a `<pre>`; of more than `most` lines the last ones."""
    found = printable_lines(text)
    if most and len(found) > most:
        found = [f"… {len(found) - most} lines before", *found[-most:]]
    return joined(found, "\n")
