"""Isolated steps: like any other, but killable, and their crashes are theirs alone."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from tests.system.project import PRELUDE, Project, is_alive, notes, statuses

PIDS = """
import ctypes, json, resource, socket, struct, subprocess, threading

def remember(*pids):
    for pid in pids:
        effect(f"pid:{pid}")

def channel():
    fds = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]
    for fd in fds:
        if Path(f"/proc/self/fd/{fd}").is_socket():
            return fd

ESCAPE = r'''
sleep 61 > /dev/null 2>&1 & echo "pid:$!" >> effects.txt
setsid sleep 62 > /dev/null 2>&1 & echo "pid:$!" >> effects.txt
bash -mc 'sleep 63 > /dev/null 2>&1 & echo "pid:$!" >> effects.txt'
setsid bash -c 'setsid sleep 64 > /dev/null 2>&1 & echo "pid:$!" >> effects.txt' &
wait $!
'''
"""


def log(project: Project, step: str, *, run: int = 1, attempt: int = 1) -> str:
    """What an attempt has logged."""
    path = project.home / "logs" / "flow" / str(run) / f"{step}.{attempt}.log"
    return path.read_text() if path.exists() else ""


def steps(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Steps of a report by name."""
    return {step["name"]: step for step in report["steps"]}


def test_it_does_what_a_thread_step_does(project: Project) -> None:
    """Values, files, secrets, conditions, skips and retries are the same; a lambda will do."""
    project.home.mkdir(mode=0o700)
    (project.home / "env").write_text("TOKEN=hunter2hunter2\n")
    (project.home / "env").chmod(0o600)
    project.write(
        "flow",
        """
import sys

def first(ctx):
    print("printed", ctx.attempt)
    print("an error", file=sys.stderr)
    ctx.log.info("logged with %s", ctx.secret("TOKEN"))
    with ctx.output("made/out.txt") as file:
        file.write("whole")
    ctx["pair"] = (1, date(2020, 2, 29))
    return ctx.params["day"]

def reads(ctx):
    assert list(ctx) == ["first", "given", "pair"], list(ctx)
    assert ctx["pair"] == (1, date(2020, 2, 29)) and "none" not in ctx
    assert os.getsid(0) == os.getpid() != os.getppid()
    return [ctx["first"], ctx["given"], ctx.idempotency_key, ctx.run_id, str(ctx.paths.root)]

def wrong(ctx):
    return ctx["frist"]

def again(ctx):
    if ctx.attempt == 1:
        raise RetryAfter(0.01, "later")
    return ctx.attempt

def skips(ctx):
    raise Skip("not today")

def leaks(ctx):
    return "x" + ctx.secret("TOKEN")

def smuggles(ctx):
    token = ctx.secret("TOKEN")
    ctx._scope.secrets._forms = ()
    return token

workflow = (
    Workflow("flow", params={"day": Param(date, default="2020-01-01")})
    .add(Step("given", lambda ctx: "thread"))
    .add(Step("first", first, isolate=True))
    .add(Step("reads", reads, ["given", "first"], isolate=True))
    .add(Step("wrong", wrong, ["first"], isolate=True))
    .add(Step("again", again, isolate=True))
    .add(Step("skips", skips, isolate=True))
    .add(Step("unmet", lambda ctx: 1, when=lambda ctx: ctx.attempt > 1, isolate=True))
    .add(Step("leaks", leaks, isolate=True))
    .add(Step("smuggles", smuggles, retries=0, isolate=True))
    .add(Step("late", does("late"), ["reads"], isolate=True))
    .add(Step("tells", lambda ctx: effect(repr(ctx["reads"]).replace(" ", "")), ["reads"]))
)
""",
    )
    report = project.report("flow", code=1)
    assert statuses(report) == {
        **dict.fromkeys(("given", "first", "reads", "again", "late", "tells"), "ok"),
        **dict.fromkeys(("wrong", "leaks", "smuggles"), "failed"),
        **dict.fromkeys(("skips", "unmet"), "skipped"),
    }
    said = notes(report)
    assert said["wrong"].startswith(
        "ContextKeyError: step 'wrong' reads key 'frist', which no step before it wrote"
        " (did you mean 'first'?)"
    )
    assert (said["skips"], said["unmet"]) == ("not today", "condition false")
    assert "step 'leaks': value for 'leaks' cannot be stored: a registered secret" in said["leaks"]
    assert said["smuggles"] == "value for 'smuggles' holds a registered secret"
    assert steps(report)["again"]["attempts"] == 2
    assert steps(report)["wrong"]["attempts"] == 1
    expected = f"[datetime.date(2020,1,1),'thread','1/reads',1,{str(project.root)!r}]"
    assert sorted(project.effects()) == [expected, "late"]
    assert (project.root / "made" / "out.txt").read_text() == "whole"
    assert [path.name for path in (project.root / "made").iterdir()] == ["out.txt"]
    text = log(project, "first")
    for line in ("out     printed 1", "err     an error", "INFO    logged with ***"):
        assert line in text
    assert "hunter2" not in text


CRASHES = {
    "segfault": ("ctypes.string_at(0)", "killed by SIGSEGV"),
    "abort": ("os.abort()", "killed by SIGABRT"),
    "exits": ("os._exit(0)", "exit code 0 without a result"),
    "exits3": ("print('oh', file=sys.stderr); os._exit(3)", "exit code 3 without a result: oh"),
    "sysexit": ("sys.exit('x')", "SystemExit: x"),
    "killed": ("os.kill(os.getpid(), 9)", "killed by SIGKILL (out of memory?)"),
    "memory": ("limit(64 << 20); bytearray(1 << 30)", "MemoryError"),
    "threads": (
        "limit(400 << 20); bomb()",
        "RuntimeError: can't start new thread",
    ),
    "forks": (
        "[os.fork() for _ in range(5)]; remember(os.getpid()); all_there(32); 1 / 0",
        "ZeroDivisionError: division by zero",
    ),
    "arguments": ("raise Odd(1, 2)", "Odd: (1, 2)"),
    "unshowable": ("raise Mute", "Mute: (its text cannot be shown)"),
    "unstorable": ("return threading.Lock()", "cannot be stored: _thread.lock"),
    "garbage": ("os.write(channel(), b'x' * 99); time.sleep(60)", "is too big"),
    "giant": (
        "os.write(channel(), struct.pack('>IQ', 9, 1 << 30) + bytes(99)); time.sleep(60)",
        "what it sent is too big: 1074 MB; 256 MB go",
    ),
    "cut": (
        "os.write(channel(), struct.pack('>IQ', 9, 999) + bytes(99)); os.kill(os.getpid(), 9)",
        "its result was cut short",
    ),
    "damaged": (
        "os.write(channel(), struct.pack('>IQ', 9, 9) + bytes(50)); time.sleep(60)",
        "what it sent is damaged: its checksum is wrong",
    ),
    "twice": (
        "os.write(channel(), 2 * b''.join(frames.pack({'kind': 'result'}))); time.sleep(60)",
        "it sent two results",
    ),
    "overfull": ("frames.BLOBS_BYTES_MAX = 99; return 'x' * 200", "what it sent is too big"),
}


def test_a_crash_is_that_attempts_alone(project: Project) -> None:
    """However a process ends, its attempt fails with the reason named; the others go on."""
    bodies = "\n".join(f"def {name}(ctx):\n    {code}" for name, (code, _) in CRASHES.items())
    added = "\n".join(
        f"workflow.add(Step({name!r}, {name}, retries=0, isolate=True))" for name in CRASHES
    )
    project.write(
        "flow",
        f"""
from engine.workers.isolation import frames

def all_there(count):
    end = time.monotonic() + 20
    while Path("effects.txt").read_text().count("pid:") < count and time.monotonic() < end:
        time.sleep(0.01)

def bomb():
    for _ in range(10_000):
        threading.Thread(target=time.sleep, args=(60,)).start()

class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)

class Mute(Exception):
    def __str__(self):
        raise ValueError

def limit(more):
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + more, size + more))

{bodies}
workflow = Workflow("flow")
workflow.add(Step("before", lambda ctx: "b", isolate=True))
{added}
workflow.add(Step("after", lambda ctx: ctx["before"], ["before", "exits"], trigger_rule="all_done"))
""",
        prelude=PRELUDE + PIDS,
    )
    begun = time.monotonic()
    report = project.report("flow", code=1)
    assert time.monotonic() - begun < 60
    said = notes(report)
    for name, (_, expected) in CRASHES.items():
        assert expected in said[name], name
    assert {name for name, status in statuses(report).items() if status == "ok"} == {
        "before",
        "after",
    }
    assert report["threads_left"] == 0
    assert len(project.pids()) == 32
    assert not any(map(is_alive, project.pids()))


def test_past_its_limit_it_is_dead_with_all_it_has_started(project: Project) -> None:
    """TERM, grace, KILL: whatever it ignores, wherever what it started has gone."""
    project.write(
        "flow",
        """
def spinner(ctx):
    remember(os.getpid())
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass

def tidies(ctx):
    try:
        time.sleep(60)
    finally:
        effect("tidied")

def family(ctx):
    with ctx.output("half.txt") as file:
        remember(os.getpid())
        subprocess.run(["bash", "-c", ESCAPE], check=True)
        subprocess.Popen(["bash", "-c", "trap '' TERM; sleep 65 & echo pid:$! >> effects.txt"])
        effect("on")
        time.sleep(60)

workflow = (
    Workflow("flow")
    .add(Step("spinner", spinner, timeout=2.5, grace=1, retries=0, isolate=True))
    .add(Step("tidies", tidies, timeout=2.5, retries=0, isolate=True))
    .add(Step("family", family, timeout=3.5, grace=0.5, retries=0, isolate=True))
    .add(Step("command", shell(ESCAPE + "sleep 66"), timeout=3.5, grace=0.5, retries=0))
)
""",
        prelude=PRELUDE + PIDS,
    )
    report = project.report("flow", code=1)
    said = notes(report)
    assert said["spinner"] == said["tidies"] == "timed out after 2.5s"
    assert said["family"] == said["command"] == "timed out after 3.5s"
    found = steps(report)
    assert 3.5 <= found["spinner"]["duration_s"] < 5.5  # the grace, and a second
    assert found["tidies"]["duration_s"] < 4.5
    assert "tidied" in project.effects()
    assert len(project.pids()) == 11
    assert not any(map(is_alive, project.pids()))
    assert list(project.root.glob(".kahnban-*")) == []
    for name in ("family", "command"):
        text = log(project, name)
        assert "processes had left its session and were ended: " in text
        assert "(sleep 62)" in text
        assert "(sleep 64)" in text
    assert dict(project.rows("SELECT step, outcome FROM attempts")) == dict.fromkeys(
        found, "timed_out"
    )


def test_nothing_is_left_of_one_that_ended_well(project: Project) -> None:
    """What it has left behind is ended at once, and holds up neither its result nor its log."""
    project.write(
        "flow",
        """
def leaves(ctx):
    child = subprocess.Popen(["setsid", "sleep", "60"])
    remember(child.pid)
    time.sleep(0.1)
    return 1

def cleared(ctx):
    daemon = "sleep 67 > /dev/null 2>&1 & echo pid:$! >> effects.txt;"
    daemon += "until grep -q 67 /proc/$!/cmdline; do :; done"  # it is what it will be
    subprocess.run(["env", "-i", "setsid", "bash", "-c", daemon])

workflow = (
    Workflow("flow")
    .add(Step("leaves", leaves, isolate=True))
    .add(Step("cleared", cleared, ["leaves"], isolate=True))  # side by side, either may end both
)
""",
        prelude=PRELUDE + PIDS,
    )
    report = project.report("flow")
    assert steps(report)["leaves"]["duration_s"] < 10
    assert len(project.pids()) == 2
    assert not any(map(is_alive, project.pids()))
    assert "1 process had left its session and was ended: " in log(project, "leaves")
    assert "(sleep 67)" in log(project, "cleared")


def test_the_engine_stays_as_it_is(project: Project) -> None:
    """Folder, umask, environment and session of the engine are not a step's to change."""
    project.write(
        "flow",
        """
def changes(ctx):
    os.chdir("/")
    os.umask(0o777)
    os.environ["HOME"] = "/changed"
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        os._exit(0)
    os.wait()

def tells(ctx):
    mask = os.umask(0o022)
    os.umask(mask)
    effect(f"{os.getcwd()}|{mask}|{os.environ['HOME']}|{os.getsid(0) == os.getsid(os.getppid())}")

workflow = (
    Workflow("flow")
    .add(Step("changes", changes, isolate=True))
    .add(Step("tells", tells, ["changes"]))
)
""",
    )
    before = os.umask(0o022)
    os.umask(before)
    project.report("flow")
    assert project.effects() == [f"{project.root}|{before}|{os.environ['HOME']}|True"]


def test_files_are_as_private_as_in_a_thread(project: Project) -> None:
    """A step that becomes an isolated one does not close its files to those who read them."""
    project.write(
        "flow",
        """
def makes(ctx):
    Path(ctx.step).touch()

workflow = (
    Workflow("flow").add(Step("inside", makes)).add(Step("apart", makes, isolate=True))
)
""",
    )
    project.report("flow")
    modes = {(project.root / name).stat().st_mode for name in ("inside", "apart")}
    assert len(modes) == 1


def test_a_halted_fork_server_goes_on(project: Project) -> None:
    """It costs the step that halted it its limit at most, and the next one nothing."""
    project.write(
        "flow",
        """
def halts(ctx):
    os.kill(os.getppid(), signal.SIGSTOP)

def later(ctx):
    return 1

workflow = (
    Workflow("flow")
    .add(Step("halts", halts, isolate=True, timeout=2, retries=0))
    .add(Step("later", later, ["halts"], isolate=True, timeout=20, trigger_rule="all_done"))
)
""",
    )
    report = project.report("flow", code=1)
    assert statuses(report) == {"halts": "failed", "later": "ok"}
    assert project.rows("SELECT note FROM step_runs WHERE step = 'halts'") == [
        ("timed out after 2s",)
    ]


def test_a_killed_fork_server_is_started_again(project: Project) -> None:
    """Its attempts fail and say so; the next one has a new server, whose starter may end."""
    project.write(
        "flow",
        """
def kills(ctx):
    if ctx.attempt == 1:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)

workflow = (
    Workflow("flow")
    .add(Step("kills", kills, retries=1, backoff=0, isolate=True))
    .add(Step("overruns", lambda ctx: time.sleep(0.6), ["kills"], timeout=0.1, retries=0))
    .add(Step("lives", does("lives", 1.0), ["overruns"], trigger_rule="all_done", isolate=True))
)
""",
    )
    report = project.report("flow", "--workers", "1", code=1)
    assert statuses(report) == {"kills": "ok", "overruns": "failed", "lives": "ok"}
    errors = project.rows("SELECT error FROM attempts WHERE step = 'kills' ORDER BY number")
    assert errors[0] == ("the fork server it came from was killed",)
    assert steps(report)["kills"]["attempts"] == 2


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("text.replace('return 1', 'return 20')", "since the run began: code changed"),
        ("text.replace('\"after\"', '\"another\"')", "since the run began: no step 'after'"),
        ("'import nowhere_to_be_found'", "the workflow's file can no longer be loaded: "),
    ],
)
def test_a_file_that_has_changed_is_not_run(project: Project, change: str, error: str) -> None:
    """A child whose definition is not the run's fails and says what differs; no retry helps."""
    project.write(
        "flow",
        f"""
def first(ctx):
    path = Path("pipelines/flow.py")
    text = path.read_text()
    path.write_text({change})
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)

def after(ctx):
    return 1

workflow = (
    Workflow("flow")
    .add(Step("first", first, retries=0, isolate=True))
    .add(Step("after", after, ["first"], trigger_rule="all_done", isolate=True))
)
""",
    )
    report = project.report("flow", code=1)
    assert error in notes(report)["after"]
    assert steps(report)["after"]["attempts"] == 1


def test_its_log_has_an_end(project: Project) -> None:
    """What it prints is streamed into its log, up to the size of one."""
    project.write(
        "flow",
        """
def prints(ctx):
    for _ in range(1_200):
        print("x" * 9_999)

workflow = Workflow("flow").add(Step("prints", prints, isolate=True))
""",
    )
    project.report("flow")
    text = log(project, "prints")
    assert 9_900_000 < len(text) < 10_100_000
    assert text.endswith("output cut: the attempt has logged 10 MB\n")


def test_a_signal_gives_it_the_grace(project: Project) -> None:
    """SIGTERM to the engine ends it gently: its `finally` runs, and the run is interrupted."""
    project.write(
        "flow",
        """
def waits(ctx):
    try:
        effect("on")
        time.sleep(60)
    finally:
        effect("tidied")

workflow = Workflow("flow").add(Step("waits", waits, isolate=True, grace=20))
""",
    )
    process = project.start("run", "flow", "--json")
    project.wait_for_effect("on")
    result = project.stopped(process, signal.SIGTERM)
    assert result.code == 143
    assert project.effects() == ["on", "tidied"]
    assert statuses(result.report) == {"waits": "interrupted"}


LIBRARY = """
import sys, types
from engine import Step, Workflow
from steps import made, ask

ghost = sys.modules["ghost"] = types.ModuleType("ghost")
exec("def run(ctx):\\n    return 1", vars(ghost))

def own(ctx):
    return 1

kind = sys.argv[1]
runs = {{"module": made, "local": ask(), "main": own, "ghost": ghost.run}}
run = runs.get(kind) or (lambda ctx: 1)
report = Workflow("lib").add(Step("one", run, isolate=True)).run(store="sqlite:///{store}")
print(report["status"], report["steps"][0]["note"])
"""


def test_as_a_library_its_function_has_to_be_importable(project: Project) -> None:
    """Without a file a step is handed over by import; what cannot be is refused before a run."""
    (project.root / "steps.py").write_text(
        "import os\n"
        "def made(ctx):\n    assert os.getsid(0) == os.getpid()\n    return 7\n"
        "def ask():\n    def local(ctx):\n        return 1\n    return local\n"
    )
    (project.root / "main.py").write_text(LIBRARY.format(store=project.root / "lib.db"))
    results = {
        kind: project.python("main.py", kind)
        for kind in ("module", "lambda", "local", "main", "ghost")
    }
    assert results["module"].out == "ok \n"
    for kind, why in (
        ("lambda", "'<lambda>' is of the main program, '__main__'"),
        ("main", "'own' is of the main program, '__main__'"),
        ("ghost", "'run' is of 'ghost', which was made, not imported"),
        ("local", "Can't pickle local object 'ask.<locals>.local'"),
    ):
        assert results[kind].code == 1
        assert (
            "DefinitionError: step 'one': isolate=True needs what another process can import"
            in (results[kind].err)
        )
        assert why in results[kind].err
