"""Secrets are read from trusted places only, and masked in every form they may take."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from engine.errors import SecretError
from engine.secrets import Secrets, masked

HOOK = "https://hooks.slack.com/services/T000/B000/abcdefghijklmnopqrstuvwx"
SMTP = "smtp://me:pa%2Fss-word@mail.example:587"


def env_file(home: Path, text: str, mode: int = 0o600) -> Path:
    """Write `<home>/env`."""
    path = home / "env"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


# -- the file -------------------------------------------------------------------------------------


def test_the_file_is_read_as_a_shell_would(tmp_path: Path) -> None:
    """Comments, `export`, both quotes and their escapes; the last of two wins."""
    env_file(
        tmp_path,
        "# comment\n\nexport TOKEN=first-one\n TOKEN = no\n".replace(" TOKEN = no\n", "")
        + 'PLAIN=a b # note\nSINGLE=\'x # \\y\' # note\nDOUBLE="say \\"hi\\" \\$1"\r\n'
        "HASH=pass#word\nCHANNEL=#ops # note\nEMPTY= # note\nTOKEN=second-one\n",
    )
    names = ["TOKEN", "PLAIN", "SINGLE", "DOUBLE", "HASH", "CHANNEL", "EMPTY", "ABSENT"]
    env = Secrets(tmp_path, {}).child_env({})
    assert [env.get(name) for name in names] == [
        "second-one",
        "a b",
        "x # \\y",
        'say "hi" $1',
        "pass#word",
        "#ops",
        "",
        None,
    ]


def test_a_missing_file_is_fine(tmp_path: Path) -> None:
    """Nobody has to have secrets."""
    secrets = Secrets(tmp_path / "absent", {})
    assert secrets.get("TOKEN") is None
    assert secrets.mask("text") == "text"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The error says what to do; masking goes on without the file."""
    path = env_file(tmp_path, "TOKEN=abcdefgh\n", mode)
    secrets = Secrets(tmp_path, {"OTHER": "from-environment"})
    assert secrets.mask("abcdefgh") == "abcdefgh"
    for _ in range(2):
        with pytest.raises(SecretError, match="may be read by others") as caught:
            secrets.get("TOKEN")
        assert caught.value.hint == f"chmod 600 {path}"
    with pytest.raises(SecretError):
        secrets.child_env({})
    assert secrets.get("OTHER") == "from-environment"


def test_a_link_or_folder_is_refused(tmp_path: Path) -> None:
    """The file itself has to lie there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("TOKEN=abcdefgh\n", encoding="utf-8")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "env").symlink_to(elsewhere)
    (tmp_path / "b" / "env").mkdir(parents=True)
    with pytest.raises(SecretError, match="is a link"):
        Secrets(tmp_path / "a", {}).get("TOKEN")
    with pytest.raises(SecretError, match="is not a regular file"):
        Secrets(tmp_path / "b", {}).get("TOKEN")


@pytest.mark.parametrize(
    "line", ["no equals hunter22", "1X=hunter22", 'X="hunter22', "X='a'hunter22"]
)
def test_a_bad_line_is_named_but_not_shown(tmp_path: Path, line: str) -> None:
    """The number is enough: the line may hold a secret."""
    path = env_file(tmp_path, f"# one\n{line}\n")
    with pytest.raises(SecretError) as caught:
        Secrets(tmp_path, {}).get("TOKEN")
    assert caught.value.message == f"secrets file '{path}', line 2: not a KEY=VALUE line"
    assert "hunter22" not in caught.value.hint


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """An empty variable counts as not set."""
    env_file(tmp_path, "A=from-file\nB=from-file\n")
    secrets = Secrets(tmp_path, {"A": "from-environment", "B": ""})
    assert (secrets.get("A"), secrets.get("B")) == ("from-environment", "from-file")


def test_the_file_is_read_once(tmp_path: Path) -> None:
    """A run sees the same secrets from start to end."""
    env_file(tmp_path, "A=first-value\n")
    secrets = Secrets(tmp_path, {})
    assert secrets.get("A") == "first-value"
    env_file(tmp_path, "A=other-value\n")
    assert secrets.get("A") == "first-value"


def test_settings_and_the_environment_of_commands(tmp_path: Path) -> None:
    """Settings are no secrets; commands get the file, less what the alerts need."""
    env_file(tmp_path, f"MAIL_TO=someone@example.org\nSMTP_URL={SMTP}\nTOKEN=abcdefgh\nPATH=/x\n")
    secrets = Secrets(tmp_path, {"ENGINE_ALERT_ON": "failure"})
    assert secrets.setting("MAIL_TO") == "someone@example.org"
    assert secrets.setting("ENGINE_ALERT_ON") == "failure"
    assert secrets.setting("MAIL_FROM") is None
    assert secrets.mask("someone@example.org") == "someone@example.org"
    with pytest.raises(ValueError, match="'TOKEN' is not the name of a setting"):
        secrets.setting("TOKEN")
    assert secrets.child_env({"PATH": "/bin", "SLACK_WEBHOOK_URL": HOOK}) == {
        "MAIL_TO": "someone@example.org",
        "TOKEN": "abcdefgh",
        "PATH": "/bin",
    }


# -- masking --------------------------------------------------------------------------------------


def test_secrets_may_be_given_as_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count as those of the file, masked from the start but for settings; no file is read."""
    monkeypatch.chdir(tmp_path)
    env_file(tmp_path, "OTHER=from-a-file\n")
    secrets = Secrets.given({"TOKEN": "s3cret-token", "MAIL_TO": "ada@example.org"})
    assert secrets.mask("s3cret-token to ada@example.org") == "*** to ada@example.org"
    assert [secrets.get("TOKEN"), secrets.get("OTHER")] == ["s3cret-token", None]
    assert secrets.setting("MAIL_TO") == "ada@example.org"


def test_short_secrets_are_refused(tmp_path: Path) -> None:
    """Under six characters nothing can be masked; from the file it is just not registered."""
    env_file(tmp_path, "SHORT=12345\n")
    secrets = Secrets(tmp_path, {})
    assert secrets.mask("x12345") == "x12345"
    with pytest.raises(SecretError, match="'SHORT' is too short to be masked") as caught:
        secrets.get("SHORT")
    assert caught.value.hint == "use one of at least 6 characters"


def test_what_is_registered_from_the_start(tmp_path: Path) -> None:
    """The file's values and the alerts' URLs; other variables only once they were read."""
    env_file(tmp_path, "TOKEN=abcdefgh\nENGINE_STORE=sqlite:///x\nMAIL_FROM=me@example.org\n")
    secrets = Secrets(tmp_path, {"SLACK_WEBHOOK_URL": HOOK, "LATER": "later-secret"})
    text = f"abcdefgh sqlite:///x me@example.org {HOOK} later-secret"
    assert secrets.mask(text) == "*** sqlite:///x me@example.org *** later-secret"
    secrets.get("LATER")
    assert secrets.mask("later-secret") == "***"


def test_a_bots_token_is_secret_and_its_channel_is_not(tmp_path: Path) -> None:
    """Nor does a step get the token."""
    env_file(tmp_path, "SLACK_BOT_TOKEN=xoxb-12-t0ken\nSLACK_CHANNEL=C0DAILYOPS\n")
    secrets = Secrets(tmp_path, {})
    assert secrets.mask("xoxb-12-t0ken to C0DAILYOPS") == "*** to C0DAILYOPS"
    assert secrets.setting("SLACK_CHANNEL") == "C0DAILYOPS"
    assert secrets.child_env({}) == {"SLACK_CHANNEL": "C0DAILYOPS"}


SECRET = "p@ss/wörd \"x\"+'y'\\z"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        repr(SECRET)[1:-1],
        repr({"k": SECRET})[7:-2],
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").replace("%2F", "%2f").lower().replace("w%c3%b6rd", "w%c3%b6rd"),
        quote_plus(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        html.escape(SECRET),
        repr(SECRET.encode())[2:-1],
        SECRET[:9] + "\n" + SECRET[9:],
        quote_plus(SECRET)[:5] + "\r\n" + quote_plus(SECRET)[5:],
        base64.encodebytes(SECRET.encode() * 4).decode().rstrip("\n"),
    ],
)
def test_every_form_is_masked(tmp_path: Path, form: str) -> None:
    """Plain, escaped, quoted for URLs, in base64, broken over lines."""
    secrets = Secrets(tmp_path, {"TOKEN": SECRET, "LONG": SECRET * 4})
    secrets.get("TOKEN")
    secrets.get("LONG")
    assert secrets.mask(f"<{form}>") == "<***>"
    assert secrets.contains(f"<{form}>")
    assert not secrets.contains("<another text>")


def test_a_line_break_beside_a_secret_stays(tmp_path: Path) -> None:
    """Only breaks within a secret go with it, also for one registered later."""
    secrets = Secrets(tmp_path, {"A": "correct-horse", "B": "battery-staple"})
    secrets.get("A")
    assert secrets.mask("a\ncorrect-\nhorse\nb") == "a\n***\nb"
    secrets.get("B")
    assert secrets.mask("correct-\nhorse\nbat\ntery-staple") == "***\n***"
    assert secrets.mask("correct-\n horse") == "correct-\n horse"


@pytest.mark.parametrize("user", ["u", "us", "use", "user"])
def test_basic_authentication_is_masked(tmp_path: Path, user: str) -> None:
    """The base64 of `user:secret` keeps at most two characters that hold bits of the secret."""
    secrets = Secrets(tmp_path, {"TOKEN": "correct-horse"})
    secrets.get("TOKEN")
    encoded = base64.b64encode(f"{user}:correct-horse".encode()).decode()
    masked = secrets.mask(encoded)
    assert "***" in masked
    assert len(masked) - 3 <= len(encoded) - 16


def test_parts_of_the_alert_urls_are_masked(tmp_path: Path) -> None:
    """The password and the key part of a URL are secret on their own; the host is not."""
    secrets = Secrets(tmp_path, {"SLACK_WEBHOOK_URL": HOOK, "SMTP_URL": SMTP})
    assert secrets.mask("POST /services/T000/B000/abcdefghijklmnopqrstuvwx") == "POST ***"
    assert secrets.mask("token abcdefghijklmnopqrstuvwx") == "token ***"
    assert secrets.mask("auth pa/ss-word or pa%2Fss-word") == "auth *** or ***"
    assert secrets.mask("mail.example hooks.slack.com") == "mail.example hooks.slack.com"


def test_lines_of_a_long_secret_are_masked(tmp_path: Path) -> None:
    """Logs are masked line by line, so each line of a key is a secret of its own."""
    secrets = Secrets(tmp_path, {"KEY": "first-line\nab\nthird-line"})
    secrets.get("KEY")
    assert secrets.mask("1 first-line") == "1 ***"
    assert secrets.mask("2 ab") == "2 ab"
    assert secrets.mask("first-line\nab\nthird-line") == "***"


def test_a_secret_that_holds_another_is_masked_whole(tmp_path: Path) -> None:
    """Nothing of the longer one is left over."""
    secrets = Secrets(tmp_path, {"A": "secret", "B": "my-secret-too"})
    secrets.get("A")
    secrets.get("B")
    assert secrets.mask("my-secret-too secret") == "*** ***"


def test_a_home_that_may_not_be_entered_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    """The project of another user: `list` there ended in a traceback, from within its masking.

    A name too long stands for the folder, which root may always enter: neither can be looked at.
    """
    home = tmp_path / ("h" * 300)
    secrets = Secrets(home, {})
    assert secrets.mask("as it is") == "as it is"
    with pytest.raises(SecretError, match="cannot be read") as caught:
        secrets.setting("ENGINE_KEEP_DAYS")
    assert caught.value.hint == (
        f"run this as the user '{home}' belongs to, or name another with --home"
    )


def test_all_texts_of_a_value_are_masked(tmp_path: Path) -> None:
    """However deep they lie; what is no text stays as it is."""
    secrets = Secrets(tmp_path, {"SMTP_URL": "hush-hush"})
    value = {"a": ["hush-hush", ("y", 1)], "b": {"c": None, "x": ""}}
    assert masked(value, secrets) == {"a": ["***", ["y", 1]], "b": {"c": None, "x": ""}}
