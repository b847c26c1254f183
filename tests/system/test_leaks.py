"""Secrets of a real run that does its best to let them out: none of them leaves."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from urllib.parse import quote, quote_plus

from tests.system.alert_servers import hook as webhook
from tests.system.alert_servers import smtp
from tests.system.project import Project, statuses, wait_for

TOKEN = 'p@ss/wörd+"x"-horse'
PIN = "4711081512345678"

FLOW = '''\
import base64, threading
from urllib.parse import quote, quote_plus

def forms(ctx):
    token = ctx.secret("API_TOKEN")
    raw = token.encode()
    return [
        token, repr(token), repr(raw), quote(token), quote(token, safe="").lower(),
        quote_plus(token), base64.b64encode(raw).decode(), base64.b64encode(b"u" + raw).decode(),
        base64.urlsafe_b64encode(b"me" + raw).decode(), token[:9] + "\\n" + token[9:],
        base64.encodebytes(b"Basic user:" + raw * 6).decode(), str(dict(os.environ)),
    ]

def says(ctx):
    for form in forms(ctx):
        print(form)
        print(form, file=sys.stderr)
        ctx.log.warning("it is %s", form)
    thread = threading.Thread(target=print, args=(forms(ctx)[0],))
    thread.start()
    thread.join()
    import resource
    print("core limit", resource.getrlimit(resource.RLIMIT_CORE)[0])
    raise ValueError("\\n".join(forms(ctx)))

def in_sql(ctx):
    from sqlalchemy import create_engine, text
    with create_engine("sqlite://").begin() as connection:
        connection.execute(text("INSERT INTO x VALUES (:v)"), {"v": ctx.secret("API_TOKEN")})

def in_a_long_error(ctx):
    raise ValueError("x" * 9_990 + ctx.secret("API_TOKEN"))

def in_a_value(ctx):
    return {"deep": [forms(ctx)[3]]}

def as_a_number(ctx):
    return [1, int(ctx.secret("PIN"))]

def as_a_key(ctx):
    ctx[ctx.secret("PIN")] = 1

def in_a_path(ctx):
    with ctx.output(f"out/{ctx.secret('PIN')}.txt") as file:
        file.write("x")

def as_a_reason(ctx):
    raise Skip(f"because of {ctx.secret('API_TOKEN')}")

def as_a_type(ctx):
    raise type("E", (Exception,), {"__str__": lambda self: ctx.secret("API_TOKEN")})()

AS_OUTPUT = """printf '{"pin": %s}\\\\n' "$PIN" >> "$KAHNBAN_OUTPUT" """
ALOUD = """
set -x; echo "$API_TOKEN"; env; touch aloud
for i in {1..1200}; do test -e go && break; sleep 0.05; done
exit 3
"""

workflow = Workflow("flow", params={"p": Param(str, default="x")})
for name in ("says", "in_sql", "in_a_long_error", "in_a_value", "as_a_number", "as_a_key",
             "in_a_path", "as_a_reason", "as_a_type"):
    workflow = workflow.add(Step(name, globals()[name], retries=0))
workflow = workflow.add(Step("as_output", shell(AS_OUTPUT), retries=0))
workflow = workflow.add(Step("aloud", shell(ALOUD), retries=0))
'''


def _forms() -> list[str]:
    raw = TOKEN.encode()
    return [
        PIN,
        TOKEN,
        TOKEN[:9],
        repr(TOKEN)[1:-1],
        repr(raw)[2:-1],
        json.dumps(TOKEN)[1:-1],
        quote(TOKEN),
        quote_plus(TOKEN),
        quote(TOKEN, safe="").lower(),
        base64.b64encode(raw).decode()[:-4],
        base64.b64encode(b"u" + raw).decode()[4:-4],
        base64.urlsafe_b64encode(b"me" + raw).decode()[4:-4],
    ]


def _command_lines() -> bytes:
    """Give what any user of the machine sees of all processes."""
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_bytes()
        except OSError:
            continue  # it has ended
    return found


def test_no_secret_leaves(project: Project) -> None:
    """Not by values, keys, paths, errors, output, notes, logs, reports, alerts or process lists."""
    project.write("flow", FLOW)
    project.home.mkdir(mode=0o700)
    env_file = project.home / "env"
    with webhook() as hook, smtp() as (inbox, port):
        env_file.touch(0o600)
        env_file.write_text(
            f"API_TOKEN='{TOKEN}'\nPIN={PIN}\nSLACK_WEBHOOK_URL={hook.url}\n"
            f"SMTP_URL=smtp://127.0.0.1:{port}\nMAIL_TO=ops@example.com\n",
            encoding="utf-8",
        )
        begun = time.monotonic()
        process = project.start("run", "flow", "--workers", "12")
        wait_for((project.root / "aloud").exists, 60)
        lines = _command_lines()
        (project.root / "go").touch()
        result = project.end(process, begun)
        sent = [json.dumps(hook.bodies, ensure_ascii=False)]
        for message in inbox.messages():
            parts = [part for part in message.walk() if not part.is_multipart()]
            sent += [message.as_string(), *(part.get_content() for part in parts)]
    assert b"aloud" in lines
    said = {"the run": result.out + result.err, "process lists": lines.decode("utf-8", "replace")}
    said |= {f"alert {number}": text for number, text in enumerate(sent)}
    for command in ("show", "report --json", "logs", "history --json", "alerts"):
        shown = project.run(*command.split())
        assert shown.code == 0
        said[command], said[f"{command}, aside"] = shown.out, shown.err
    refused = project.run("run", "flow", "--set", f"p={PIN}")
    assert refused.code == 2
    assert refused.error.startswith("error: parameter 'p' holds a secret")
    said["the refusal"] = refused.out + refused.err
    files = [path for path in project.root.rglob("*") if path.is_file() and path != env_file]
    said |= {str(path): path.read_bytes().decode("utf-8", "replace") for path in files}
    for where, text in said.items():
        for form in _forms():
            assert form not in text, f"{where} holds {form!r}"
    assert statuses(json.loads(said["report --json"])) == {
        **dict.fromkeys(["says", "in_sql", "in_a_long_error", "in_a_value"], "failed"),
        **dict.fromkeys(["as_a_number", "as_a_key", "in_a_path", "as_a_type"], "failed"),
        **dict.fromkeys(["as_output", "aloud"], "failed"),
        "as_a_reason": "skipped",
    }
    assert "***" in said["logs"]
    assert "core limit 0\n" in said["logs"]


FAULTY = """
import engine.session.live

def go(self):
    raise RuntimeError("\\x1b[31m with " + os.environ["SMTP_URL"])

engine.session.live.LiveRun.go = go
workflow = Workflow("flow").add(Step("a", does("a")))
"""


def test_a_fault_of_the_engine_itself_is_told_masked(project: Project) -> None:
    """Its traceback is for whoever mends it, and holds no secret and nothing a terminal obeys."""
    project.write("flow", FAULTY)
    result = project.run("run", "flow", SMTP_URL="smtp://me:s3cr3t-word@mail.example")
    assert result.code == 3
    assert "Traceback (most recent call last):" in result.err
    assert "RuntimeError: \\x1b[31m with ***\n" in result.err
    assert "s3cr3t" not in result.err
    assert result.error.startswith("error: the engine failed: RuntimeError\nhint: this is a fault")
