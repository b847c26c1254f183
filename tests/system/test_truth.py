"""Ways in which a record could come to say what is not so; each was once found to."""

from __future__ import annotations

import time

from tests.system.project import Project, statuses


def test_a_stopped_step_that_swallows_its_stop_is_not_ok(project: Project) -> None:
    """Its files were taken away with the stop: a resume that trusted it would miss them."""
    project.write(
        "flow",
        """
def make(ctx):
    with ctx.output("made.txt") as file:
        file.write("made")
    effect("made")
    try:
        while not Path("go").exists():
            time.sleep(0.05)
    except BaseException:
        pass

def use(ctx):
    effect(Path("made.txt").read_text())

workflow = Workflow("flow").add(Step("make", make)).add(Step("use", use, depends_on=["make"]))
""",
    )
    process = project.start("run", "flow", "--json")
    project.wait_for_effect("made")
    assert project.run("cancel", "flow").code == 0  # asks at once, a signal after the grace
    stopped = project.end(process, time.monotonic())
    assert stopped.code == 1
    assert statuses(stopped.report)["make"] == "interrupted"
    (project.root / "go").touch()
    assert statuses(project.report("flow", "--resume", "1")) == {"make": "ok", "use": "ok"}


def test_a_forked_child_keeps_no_lock(project: Project) -> None:
    """What a step leaves running in the background does not block the workflow's next run."""
    project.write(
        "flow",
        """
def fork(ctx):
    if os.fork() == 0:
        os.setsid()
        for number in (0, 1, 2):
            os.close(number)
        time.sleep(8)
        os._exit(0)

workflow = Workflow("flow").add(Step("fork", fork))
""",
    )
    assert project.run("run", "flow").code == 0
    again = project.run("run", "flow", "--fresh")
    assert (again.code, "is on" in again.err) == (0, False)


def test_a_store_removed_under_a_run_ends_it(project: Project) -> None:
    """Commits into a file that is gone would be recorded nowhere."""
    project.write(
        "flow",
        'workflow = Workflow("flow").add(Step("a", does("a", 1.0)))'
        '.add(Step("b", does("b"), depends_on=["a"]))',
    )
    process = project.start("run", "flow")
    project.wait_for_effect("a")
    for path in project.home.glob("runs.db*"):
        if path.is_file():
            path.unlink()
    result = project.end(process, time.monotonic())
    assert result.code == 3
    assert "was removed or replaced while it was open" in result.err
    assert "b" not in project.effects()


def test_an_error_without_a_text_fails_its_step(project: Project) -> None:
    """An exception that raises when it is shown is a failure like others, and hangs nothing.

    Nor does one whose notes or cause raise, even what cannot be stored, or shown, itself.
    """
    project.write(
        "flow",
        """
class Wrong(Exception):
    def __str__(self):
        raise SystemExit("no text")

class Nameless(type):
    @property
    def __name__(cls):
        raise Wrong

class Odd(str):
    def __len__(self):
        raise Wrong

class Unnamed(Exception, metaclass=Nameless):
    def __str__(self):
        return Odd("of an odd class")

class Noted(Exception):
    @property
    def __notes__(self):
        raise Wrong

class Caused(Exception):
    @property
    def __cause__(self):
        raise ValueError("\\ud800")

def raises(error):
    def body(ctx):
        raise error
    return body

workflow = Workflow("flow")
errors = {"a": Wrong(), "b": Noted("of note"), "c": Caused("by what"), "d": Unnamed()}
for name, error in errors.items():
    workflow.add(Step(name, raises(error), retries=0))
""",
    )
    report = project.report("flow", code=1)
    assert [step["error"] for step in report["steps"]] == [
        "Wrong: (its text cannot be shown)",
        "Noted: of note",
        "Caused: by what",
        "Unnamed: of an odd class",
    ]
    shown = "(its traceback cannot be shown)"
    assert [step["last_lines"][-1].endswith(shown) for step in report["steps"]] == [
        False,
        True,
        True,
        False,
    ]


def test_another_overlap_does_not_let_a_second_run_in(project: Project) -> None:
    """Changing `overlap` while a run is on changes the lock, and not who may run."""
    source = """
def waits(ctx):
    effect("a")
    while not Path("go").exists():
        time.sleep(0.02)

workflow = Workflow("flow"MORE).add(Step("a", waits))
"""
    project.write("flow", source.replace("MORE", ""))
    process = project.start("run", "flow")
    project.wait_for_effect("a")
    project.write("flow", source.replace("MORE", ', overlap="params"'))
    assert project.run("run", "flow").code == 75
    (project.root / "go").touch()
    assert project.end(process, time.monotonic()).code == 0


def test_errors_of_a_file_are_masked(project: Project) -> None:
    """What an import quotes of a secret is shown nowhere."""
    project.write("flow", 'raise ValueError("bad s3cr3t/To+ken=1")')
    project.home.mkdir(mode=0o700)
    env = project.home / "env"
    env.write_text("API_TOKEN=s3cr3t/To+ken=1\n", encoding="utf-8")
    env.chmod(0o600)
    for command in (["run", "flow"], ["check"], ["list"], ["run", "flow", "--scheduled"]):
        result = project.run(*command)
        assert "s3cr3t" not in result.out + result.err, command
