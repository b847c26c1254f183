"""What units and crontab lines of ours have in common: a command, where and as whom it runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from engine.errors import UsageError

# systemd refuses quotes, backslashes and glob characters in a program's path and never undoes `$$`
# in it: such a path reaches the kernel as an argument of sh.
SH = ("/bin/sh", "-c", 'exec "$0" "$@"')
_ODD_PROGRAM = re.compile(r"[\"'\\*?\[$]")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:=,@+-]+\Z")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PASSWORD = re.compile(r"://[^/@]*:[^/@]+@|pass(?:word|wd)?=", re.IGNORECASE)


class Installation(TypedDict):
    """Where and as whom a command of ours is to run.

    `command` holds the program's words, the first an absolute path; `user` goes with `system`
    (units of the machine), without which the units are for the user's own systemd.
    """

    command: Sequence[str]
    root: Path
    home: Path
    store_url: str | None
    user: str | None
    system: bool
    pipelines: NotRequired[Path | None]


def laid_out(files: Mapping[str, str], command: str, where: Installation, cron: str) -> str:
    """Give units under `# NAME` headers, how `command` installs them, and what cron takes."""
    timer = next(name for name in files if name.endswith(".timer"))
    parts = [f"# {name}\n{text}" for name, text in files.items()]
    return "\n".join((*parts, _how_to_install(timer, command, where), f"{cron}\n"))


def _how_to_install(timer: str, command: str, where: Installation) -> str:
    """Say which command installs units with this timer, and how it is done by hand."""
    if where["system"]:
        folder, systemctl, last = "/etc/systemd/system", "systemctl", ""
    else:
        folder, systemctl = "~/.config/systemd/user", "systemctl --user"
        last = "#   loginctl enable-linger        # run while you are logged out, too\n"
    return (
        f"# `{command}` does all of this. By hand, save each part under its name in\n"
        f"# {folder}, then:\n"
        f"#   {systemctl} daemon-reload\n"
        f"#   {systemctl} enable --now {shlex.quote(timer)}\n"
        f"{last}"
    )


def needs_of(where: Installation) -> str:
    """Say what must be up first; the user's own systemd knows neither network nor mounts."""
    if not where["system"]:
        return ""
    folders = dict.fromkeys((str(where["root"]), str(where["home"])))
    return (
        "Wants=network-online.target\n"
        "After=network-online.target\n"
        f"RequiresMountsFor={' '.join(quote_word(each, variables=False) for each in folders)}\n"
    )


def body_of(where: Installation, action: Sequence[str], identifier: str) -> str:
    """Give the lines that run a command of ours, and what its lines in the journal are under."""
    user = f"User={where['user'].replace('%', '%%')}\n" if where["user"] else ""
    return (
        f"{user}"
        f"WorkingDirectory={str(where['root']).replace('%', '%%')}\n"
        "Environment=PYTHONUNBUFFERED=1\n"
        f"ExecStart={exec_line(words_of(where, action))}\n"
        f"SyslogIdentifier={identifier}"
    )


def words_of(where: Installation, action: Sequence[str]) -> list[str]:
    """Give the words of a command of ours, with the places that were chosen."""
    words = [*where["command"], *action, "--home", str(where["home"])]
    if where["store_url"]:
        words += ["--store", where["store_url"]]
    if pipelines := where.get("pipelines"):
        words += ["--pipelines", str(pipelines)]
    return words


def crontab_command(where: Installation, action: Sequence[str]) -> str:
    """Give a command of ours as a line of a crontab takes it, behind its five fields."""
    command = f"cd {shlex.quote(str(where['root']))} && {shlex.join(words_of(where, action))}"
    return command.replace("%", "\\%")


def exec_line(words: Sequence[str]) -> str:
    """Write a command as ExecStart= takes it."""
    if _ODD_PROGRAM.search(words[0]):
        words = (*SH, *words)
    program = quote_word(words[0], variables=False)
    return " ".join((program, *(quote_word(word) for word in words[1:])))


def quote_word(word: str, *, variables: bool = True) -> str:
    """Write one word so that systemd reads it back as it is; `variables`: `$` means something."""
    text = word.replace("%", "%%")
    if variables:
        text = text.replace("$", "$$")
    if _PLAIN_WORD.match(word):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def exec_words(line: str) -> list[str]:
    """Read a line of `exec_line` back: the inverse, without the detour through sh."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line)
    words = [re.sub(r"\\(.)", r"\1", quoted) or plain for quoted, plain in found]
    words = [word.replace("%%", "%") for word in words]
    words = [words[0], *(word.replace("$$", "$") for word in words[1:])]
    return words[len(SH) :] if tuple(words[: len(SH)]) == SH else words


def check(where: Installation) -> None:
    """Raise `UsageError` if something cannot be written into a unit."""
    if not where["command"]:
        raise UsageError("no program to schedule", hint="give the words of the command")
    paths = {
        "the program": where["command"][0],
        "the project root": str(where["root"]),
        "the home": str(where["home"]),
    }
    if pipelines := where.get("pipelines"):
        paths["the pipelines folder"] = str(pipelines)
    for what, path in paths.items():
        if not path.startswith("/"):
            raise UsageError(f"{what} {path!r} is no absolute path", hint="give the whole path")
    for word in (*where["command"], *paths.values(), where["store_url"] or "", where["user"] or ""):
        if _CONTROL.search(word):
            raise UsageError(
                f"{word!r} holds a control character and cannot be written into a unit",
                hint="rename it",
            )
    root = str(where["root"])
    if root != root.strip() or root.endswith("\\"):
        raise UsageError(
            f"the project root {root!r} ends in a space or backslash, which systemd cannot name",
            hint="rename the folder",
        )
    _check_secrets_and_user(where)


def _check_secrets_and_user(where: Installation) -> None:
    if where["store_url"] and _PASSWORD.search(where["store_url"]):
        raise UsageError(
            "the store's URL holds a password, and units hold no secrets",
            hint=f"write ENGINE_STORE=URL into {where['home'] / 'env'} and leave --store out",
        )
    if where["user"] and not where["system"]:
        raise UsageError(
            f"user '{where['user']}' given for units of the user's own systemd",
            hint="ask for units of the machine, or leave the user out",
        )
