"""What bounds a stored value, and how a refusal names it."""

from __future__ import annotations

BYTES_MAX = 100_000_000  # a value's encoded size
NOTE_BYTES = 1_000_000  # from this size on the run notes that a file would serve better
DEPTH_MAX = 200  # containers within containers
PLAIN_INT = 1 << 2000  # beyond it decimal digits run into Python's limit on int conversion
_SHOWN_LENGTH = 60

HINT = "write it to a file with ctx.output(path) and store what names it"
SECRET = "a registered secret"  # noqa: S105 - the words, not one
SECRET_HINT = "read it with ctx.secret(NAME) in the step that needs it"  # noqa: S105 - nor this


class NotStorable(Exception):
    """Why a value cannot be stored, what to do instead, and the path to it, inmost part first."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.path: list[str] = []


def type_name(value: object) -> str:
    """Name a value's type without asking anything that its class or metaclass could override."""
    kind = type(value)
    name: str = type.__dict__["__qualname__"].__get__(kind)
    names = type.__dict__["__dict__"].__get__(kind)
    module = names.get("__module__") if "__module__" in names else None
    if type(module) is not str:
        module = type.__dict__["__module__"].__get__(kind)
    known = type(module) is str and module not in {"builtins", "__main__"}
    return f"{module}.{name}" if known else name


def shown(key: object) -> str:
    """Show a key in a message: text and small ints as they are, others by type."""
    if type(key) is str:
        return repr(key if len(key) <= _SHOWN_LENGTH else key[:_SHOWN_LENGTH] + "…")
    if type(key) is int and -(1 << 64) < key < 1 << 64:
        return repr(key)
    return f"<{type_name(key)}>"


def is_utf8(text: str) -> bool:
    """Tell whether text holds no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
