"""Going on from an earlier run: what is reused, what is redone and why, and how to ask for it."""

from __future__ import annotations

import pytest

from tests.system.project import CHAIN, Project, notes, statuses

DONE = {"fetch": "cached", "transform": "ok", "end": "ok"}


def go(project: Project) -> None:
    """Let `transform` succeed from now on."""
    (project.root / "go").touch()


def reasons(project: Project, *arguments: str) -> dict[str, tuple[str, str]]:
    """What a run would reuse and redo, and why, by step."""
    plan = project.report("flow", "--dry-run", *arguments)["plan"]
    return {row["step"]: (row["what"], row["why"]) for row in plan}


@pytest.fixture
def failed(project: Project) -> Project:
    """Give a project whose first run has failed in its second of three steps."""
    project.chain()
    assert project.run("run", "flow", "-q").code == 1
    assert project.effects() == ["fetched", "transform"]
    return project


def test_by_hand_goes_on_with_the_data(failed: Project) -> None:
    """A run by hand continues a failed one: nothing is done twice, the values are there."""
    go(failed)
    result = failed.run("run", "flow")
    assert result.code == 0
    assert failed.effects() == ["fetched", "transform", "transform", "fetched!"]
    assert "going on: run 1 failed" in result.err
    for told in ("fetch      ↻ reuse", "ok in run 1", "failed in run 1", "skipped in run 1"):
        assert told in result.err, result.err
    report = failed.run("show", "2", "--json").report
    assert statuses(report) == DONE
    assert (report["resumed_from"], report["root_run"]) == (1, 1)
    fetch = report["steps"][0]
    assert (fetch["source_run"], fetch["duration_s"], fetch["started"]) == (1, 0, None)


def test_after_a_success_a_run_is_new(failed: Project) -> None:
    """After a full success everything runs again, and the run says why."""
    go(failed)
    assert failed.run("run", "flow", "-q").code == 0
    result = failed.run("run", "flow", "--json")
    assert set(statuses(result.report).values()) == {"ok"}
    assert "run 3 of flow starts anew: run 2 with these parameters is ok" in result.err


def test_fresh_starts_anew(failed: Project) -> None:
    """--fresh does everything again."""
    go(failed)
    report = failed.report("flow", "--fresh")
    assert set(statuses(report).values()) == {"ok"}
    assert report["resumed_from"] is None


def test_once(failed: Project) -> None:
    """--once runs until a run is ok, then does nothing and says so."""
    go(failed)
    assert failed.run("run", "flow", "-q", "--once").code == 0
    effects = failed.effects()
    result = failed.run("run", "flow", "--once")
    assert result.code == 0
    assert result.out == "nothing to do: run 2 with these parameters is ok\n"
    assert failed.effects() == effects
    assert failed.rows("SELECT count(*) FROM runs") == [(2,)]


def test_from_a_step(failed: Project) -> None:
    """--from redoes a step and all after it, also on a run that went well."""
    go(failed)
    assert failed.run("run", "flow", "-q").code == 0
    report = failed.report("flow", "--from", "transform")
    assert statuses(report) == DONE
    assert reasons(failed, "--from", "transform") == {
        "fetch": ("cached", "ok in run 1"),
        "transform": ("would run", "asked for"),
        "end": ("would run", "'transform' runs again"),
    }
    result = failed.run("run", "flow", "--from", "transfrom")
    assert result.code == 2
    assert result.error == (
        "error: --from: 'flow' has no step 'transfrom' (did you mean 'transform'?)\n"
        "hint: its steps: fetch, transform, end\n"
    )


def test_resume_by_number(failed: Project) -> None:
    """--resume continues the newest run of the chain; one that is ok has nothing left to do."""
    assert failed.run("run", "flow", "-q").code == 1
    go(failed)
    report = failed.report("flow", "--resume", "1")
    assert (report["run_id"], report["resumed_from"], report["root_run"]) == (3, 2, 1)
    assert statuses(report) == DONE
    result = failed.run("run", "flow", "--resume", "1")
    assert (result.code, result.out) == (0, "nothing to do: run 3 is ok\n")
    assert failed.run("run", "flow", "--resume", "9").error == (
        "error: there is no run 9\nhint: see `python -m engine history` for the runs\n"
    )


def test_resume_keeps_the_parameters(project: Project) -> None:
    """--resume goes on with the recorded parameters; --set beside it is refused."""
    source = CHAIN.replace('Workflow("NAME")', 'Workflow("flow", params={"n": 1})')
    project.write("flow", source)
    assert project.run("run", "flow", "-q", "--set", "n=5").code == 1
    result = project.run("run", "flow", "--resume", "1", "--set", "n=5")
    assert result.code == 2
    assert result.error == (
        "error: --resume goes on with the run's recorded parameters; --set cannot be given\n"
        "hint: start anew with --fresh --set …, or leave --set out\n"
    )
    go(project)
    assert project.report("flow")["resumed_from"] is None  # n=1 is another matter
    report = project.report("flow", "--resume", "1")
    assert report["params"] == {"n": "5"}
    assert statuses(report) == DONE


def test_resume_refuses_another_graph(failed: Project) -> None:
    """--resume refuses a changed graph; a plain run takes over what still fits."""
    go(failed)
    failed.chain(tail='workflow.add(Step("more", does("more"), depends_on=["end"]))')
    result = failed.run("run", "flow", "--resume", "1")
    assert result.code == 2
    assert result.error == (
        "error: run 1 cannot be resumed: the graph has changed: step 'more' is new\n"
        "hint: a plain `python -m engine run flow` takes over what still fits\n"
    )
    report = failed.report("flow")
    assert statuses(report) == {**DONE, "more": "ok"}


def test_resume_of_another_workflow(failed: Project) -> None:
    """A run of another workflow is refused, with the command that would be right."""
    failed.chain("other")
    result = failed.run("run", "other", "--resume", "1")
    assert result.code == 2
    assert result.error == (
        "error: run 1 is one of workflow 'flow', not of 'other'\n"
        "hint: `python -m engine run flow --resume 1`\n"
    )


def test_new_and_gone_steps(failed: Project) -> None:
    """A plain run tells of steps that are new and of those that are no longer defined."""
    source = CHAIN.replace("NAME", "flow").replace('Step("end", end', 'Step("finish", end')
    failed.write("flow", source)
    go(failed)
    result = failed.run("run", "flow")
    assert result.code == 0
    assert "new step" in result.err
    assert "no longer defined" in result.err


def test_resume_within(project: Project) -> None:
    """A chain that began too long ago is not continued by hand; --resume still does."""
    source = CHAIN.replace('Workflow("NAME")', 'Workflow("flow", resume_within=0)')
    project.write("flow", source)
    assert project.run("run", "flow", "-q").code == 1
    result = project.run("run", "flow", "--json")
    assert result.report["resumed_from"] is None
    assert "run 1, where its chain began, is " in result.err
    go(project)
    assert statuses(project.report("flow", "--resume", "1")) == DONE


def test_changed_code_is_redone(failed: Project) -> None:
    """A step whose code changed runs again, and all that builds on it; the reason is told."""
    source = CHAIN.replace("NAME", "flow").replace('does("fetched")', 'does("fetched", 0.001)')
    failed.write("flow", source)
    go(failed)
    found = reasons(failed)
    assert found["fetch"][0] == "would run"
    assert "changed" in found["fetch"][1]
    assert found["transform"] == ("would run", "failed in run 1")
    assert set(statuses(failed.report("flow")).values()) == {"ok"}


def test_changed_helper_is_redone_with_its_downstream(failed: Project) -> None:
    """A change in a function that a step calls counts; what comes after runs again."""
    go(failed)
    assert failed.run("run", "flow", "-q").code == 0
    path = failed.chain(tail='workflow.add(Step("last", broken, ["end"], retries=0))')
    assert failed.run("run", "flow", "-q", "--from", "end").code == 1
    path.write_text(path.read_text().replace("def effect(text):", "def effect(text):\n    1 + 1"))
    found = reasons(failed)
    assert found["fetch"] == ("would run", "helper 'pipelines.flow.effect' changed")
    assert found["transform"][1] == "'fetch' runs again"
    assert found["end"][1] == "'transform' runs again"


def test_comments_and_layout_do_not_count(failed: Project) -> None:
    """A new comment, docstring or blank line changes nothing."""
    path = failed.root / "pipelines" / "flow.py"
    source = path.read_text()
    source = source.replace(
        "    def body(ctx):\n", '    def body(ctx):\n        """It does."""\n\n'
    )
    path.write_text(source.replace("import os", "# what we need\n\n\nimport os"))
    assert reasons(failed)["fetch"] == ("cached", "ok in run 1")


OUTPUT = """
def write(ctx):
    effect("write")
    with ctx.output("made.txt") as file:
        file.write("made")

workflow = (
    Workflow("flow")
    .add(Step("write", write))
    .add(Step("b", broken, depends_on=["write"], retries=0))
)
"""


@pytest.mark.parametrize("damage", ["gone", "altered", "none"])
def test_recorded_files_are_checked(project: Project, damage: str) -> None:
    """A step whose file is gone or altered runs again and makes it anew."""
    project.write("flow", OUTPUT)
    assert project.run("run", "flow", "-q").code == 1
    made = project.root / "made.txt"
    assert made.read_text() == "made"
    if damage == "gone":
        made.unlink()
    elif damage == "altered":
        made.write_text("other")
    result = project.run("run", "flow")
    assert made.read_text() == "made"
    assert project.effects() == ["write"] * (1 if damage == "none" else 2)
    assert ("is gone or altered" in result.err) == (damage != "none")


def test_own_skips_stay_skipped(project: Project) -> None:
    """What was skipped by its own condition or `Skip` stays so; what failures skipped does not."""
    project.write(
        "flow",
        """
def skips(ctx):
    effect("asked")
    raise Skip("no trade today")

workflow = (
    Workflow("flow")
    .add(Step("a", skips))
    .add(Step("w", does("w"), when=lambda ctx: False))
    .add(Step("b", broken, retries=0))
    .add(Step("c", does("c"), depends_on=["b"]))
)
""",
    )
    for run in (1, 2):
        report = project.report("flow", code=1)
        assert report["run_id"] == run
        assert statuses(report) == {"a": "skipped", "w": "skipped", "b": "failed", "c": "skipped"}
        assert notes(report)["a"] == "no trade today"
        assert notes(report)["w"] == "condition false"
        assert notes(report)["c"] == "dependency failed: b"
    assert project.effects() == ["asked"]


def test_cached_values_under_load(project: Project) -> None:
    """Many steps read values of the run before while this one's are being recorded."""
    project.write(
        "flow",
        """
def source(ctx):
    for number in range(20):
        ctx[f"k{number}"] = list(range(500))

def reader(ctx):
    assert all(len(ctx[f"k{number}"]) == 500 for number in range(20))
    if not Path("go").exists():
        raise ValueError("not yet")

workflow = Workflow("flow").add(Step("source", source))
for number in range(150):
    workflow.add(Step(f"s{number}", reader, depends_on=["source"], retries=0))
""",
    )
    assert project.run("run", "flow", "-q").code == 1
    go(project)
    report = project.report("flow", "--workers", "8")
    assert report["counts"] == {"cached": 1, "ok": 150}


def test_idempotency_key(project: Project) -> None:
    """The key is the same for every attempt and continuation; a redone step gets another."""
    project.write(
        "flow",
        """
def keyed(ctx):
    effect(f"{ctx.step}={ctx.idempotency_key}")
    if ctx.step == "b" and times("b=1/b") < 4:
        raise ValueError("again")

workflow = (
    Workflow("flow")
    .add(Step("a", keyed))
    .add(Step("b", keyed, depends_on=["a"], retries=1, backoff=0))
    .add(Step("c", broken, depends_on=["b"], retries=0))
)
""",
    )
    assert project.run("run", "flow", "-q").code == 1
    assert project.run("run", "flow", "-q").code == 1
    assert project.effects() == ["a=1/a", *["b=1/b"] * 4]
    assert project.run("run", "flow", "-q", "--from", "b").code == 1
    assert project.effects()[5:] == ["b=3/b"]
