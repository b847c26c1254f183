"""What each page of the dashboard shows: facts from the store and the project, for a rendering."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.clock import SystemClock
from engine.errors import UsageError
from engine.model import RunStatus
from engine.reports.html import (
    bars,
    overview,
    run_page,
    runs_page,
    search_page,
    step_page,
    workflow_page,
)
from engine.reports.html.markup import Html
from engine.reports.html.overview import Undelivered, WorkflowRow
from engine.reports.html.runs_page import Asked
from engine.reports.html.shell import address, crumbs, link
from engine.secrets import Secrets
from engine.serve.looking import Look, Problem, is_missing, look
from engine.session.environment import Environment
from engine.session.pages import facts_of
from store.database import path_of
from store.search import Hits, search
from store.trends import DAY_RUNS_MAX, RunRow, Wanted

if TYPE_CHECKING:
    from engine.ports import Paths
    from engine.serve.definitions import Defined, Definitions

WORKFLOWS_MAX = 200
ALERTS_MAX = 20
ON_EVERY_S = 1.0
IDLE_EVERY_S = 5.0
BIG_STEPS = 1_000  # a page of a run with more is asked for less often
WHOLE_STEPS = 2_000  # of a run with more, those are shown that are most worth a look
SHOWN_STEPS = 300  # a browser has to put them in place while the run is on
USUAL_STEPS = 2_000  # of more, what each takes is not told: to find that takes a second
ELAPSED_S = 5  # how old the durations of a run that is on may be on a page
_DAYS_BACK = timedelta(weeks=bars.WEEKS)
_ON = "running"


class Page(NamedTuple):
    """A page: its title and its inside. `every_s`: how often to ask again; 0 if it stays so."""

    title: str
    body: Html
    every_s: float = 0.0
    at: str = ""
    q: str = ""


class Answers:
    """Makes the pages of one project. Each is a pure function of the store, files and time."""

    def __init__(
        self,
        paths: Paths,
        definitions: Definitions,
        environ: Mapping[str, str],
        command: tuple[str, ...],
    ) -> None:
        """Show the store of `paths`; `command` is how this program is called, for its hints."""
        self.paths = paths
        self.store = path_of(paths.store_url)
        self._definitions = definitions
        self.environ = environ
        self._command = command

    def environment(self) -> Environment:
        """Give the environment as it is now: secrets are read anew, and the clock set anew."""
        return Environment(
            paths=self.paths,
            secrets=Secrets(self.paths.home, self.environ),
            clock=SystemClock(),
            environ=self.environ,
            command=self._command,
        )

    @contextmanager
    def look(self) -> Iterator[Look]:
        """Look at the store; what is not there is a page that says so."""
        try:
            with look(self.store, SystemClock()) as found:
                yield found
        except UsageError as error:
            raise Problem(404, "Not here", error.message) from error

    # -- all workflows ----------------------------------------------------------------------------

    def first(self) -> Page:
        """Give the first page; before the first run it shows the workflows alone."""
        environment = self.environment()
        known = self._definitions.known()
        now = environment.clock.utc()
        if is_missing(self.store):
            rows = [self._row(name, [], known) for name in sorted(known)]
            told = ("There is no store yet.", "It is made by the first run.")
            facts = overview.Overview(rows, (), (), 0, now, [told])
        else:
            with self.look() as found:
                facts = self._overview(found, known, now)
        if not self._definitions.is_whole:
            told = ("The workflows' files are still being read.", "")
            facts = replace(facts, notices=[*facts.notices, told])
        body = overview.body(masked(facts, environment.secrets.mask))
        return Page("Workflows", body, ON_EVERY_S if facts.on else IDLE_EVERY_S, "/")

    def _overview(
        self, found: Look, known: Mapping[str, Defined], now: datetime
    ) -> overview.Overview:
        names = found.trends.workflows(WORKFLOWS_MAX)
        names += sorted(set(known) - set(names))[: WORKFLOWS_MAX - len(names)]
        lost = found.losses()
        alerts = found.history.undelivered()
        return overview.Overview(
            workflows=[
                self._row(name, found.trends.runs(Wanted(name), overview.STRIP_RUNS), known)
                for name in sorted(names)
            ],
            on=found.trends.runs(Wanted(status=_ON), ALERTS_MAX),
            alerts=[
                Undelivered(row["run_id"], row["channel"], row["tries"], row["error"] or "")
                for row in (found.history.alerts()[:ALERTS_MAX] if alerts else [])
            ],
            alerts_in_all=alerts,
            now=now,
            notices=[lost] if lost else [],
        )

    def _row(self, name: str, runs: list[RunRow], known: Mapping[str, Defined]) -> WorkflowRow:
        defined = known.get(name)
        if defined is None:
            return WorkflowRow(name, runs, gone=self._definitions.is_whole)
        return WorkflowRow(
            name,
            runs,
            defined.description,
            defined.schedule,
            defined.due,
            defined.broken,
            zone=defined.zone,
        )

    # -- one workflow -----------------------------------------------------------------------------

    def workflow(self, name: str) -> Page:
        """Give the page of a workflow that has a run or a file."""
        environment = self.environment()
        known = self._definitions.known()
        with self.look() as found:
            runs = found.trends.runs(Wanted(name), workflow_page.PLOT_RUNS)
            if not runs and name not in known:
                raise Problem(404, "Not here", f"there is no workflow '{name}'")
            newest = next((run for run in runs if run.steps), None)
            days, cut = self._days(found, name, environment.clock.utc())
            steps, total = list[str](), newest.steps if newest else 0
            if newest is not None:
                steps = found.history.first_steps(newest.run_id, workflow_page.STEPS_MAX)
            facts = workflow_page.WorkflowFacts(
                row=self._row(name, runs, known),
                runs=runs,
                days=days,
                steps=steps,
                steps_in_all=total,
                usual=found.history.usual(name) if 0 < total <= USUAL_STEPS else {},
                now=environment.clock.utc(),
                days_cut=cut,
            )
        is_on = any(run.status == _ON for run in runs)
        body = workflow_page.body(masked(facts, environment.secrets.mask))
        return Page(name, body, ON_EVERY_S if is_on else IDLE_EVERY_S)

    def _days(
        self, found: Look, workflow: str | None, now: datetime
    ) -> tuple[dict[str, dict[str, int]], int]:
        days = found.trends.days(workflow, _us(now - _DAYS_BACK))
        total = sum(sum(each.values()) for each in days.values())
        return days, DAY_RUNS_MAX if total >= DAY_RUNS_MAX else 0

    def step(self, workflow: str, step: str) -> Page:
        """Give the history of a step that some run had."""
        environment = self.environment()
        with self.look() as found:
            past = found.trends.step(workflow, step, step_page.MOST)
        if not past:
            raise Problem(404, "Not here", f"no late run of '{workflow}' has a step '{step}'")
        facts = step_page.StepFacts(workflow, step, past, environment.clock.utc())
        return Page(f"{step} · {workflow}", step_page.body(masked(facts, environment.secrets.mask)))

    # -- runs -------------------------------------------------------------------------------------

    def runs(self, query: Mapping[str, str]) -> Page:
        """Give a page of the history of runs."""
        environment = self.environment()
        now = environment.clock.utc()
        asked, wanted, wrong = asked_for(query)
        with self.look() as found:
            rows = found.trends.runs(wanted, runs_page.MOST + 1)
            days, cut = self._days(found, asked.workflow or None, now)
            facts = runs_page.RunsFacts(
                asked=asked,
                runs=rows[: runs_page.MOST],
                more=len(rows) > runs_page.MOST,
                days=days,
                workflows=found.trends.workflows(WORKFLOWS_MAX),
                now=now,
                days_cut=cut,
                wrong=wrong,
            )
        body = runs_page.body(masked(facts, environment.secrets.mask))
        return Page("Runs", body, 0.0 if asked.before else IDLE_EVERY_S, "/runs")

    def run(self, run_id: int) -> Page:
        """Give the page of a run, as its report shows it."""
        environment = self.environment()
        with self.look() as found:
            facts = facts_of(
                found.history, run_id, environment, whole=WHOLE_STEPS, most=SHOWN_STEPS
            )
        report = facts.report
        workflow = str(report["workflow"])
        for step in report["steps"]:
            step["href"] = address("runs", run_id, "logs", step["name"], step["attempts"] or 1)
        way = Html('<div class="title">{}{}</div>').format(
            crumbs(link("Workflows"), link(workflow, "workflows", workflow)),
            link("Logs of this run", "runs", run_id, "logs"),
        )
        is_on = report["status"] == _ON
        steps = report.get("steps_in_all", len(report["steps"]))
        every_s = ON_EVERY_S if steps <= BIG_STEPS else 2 * ON_EVERY_S
        body = Html("{}{}").format(way, run_page.body(facts))
        return Page(run_page.title(facts), body, every_s if is_on else 0.0)

    def run_tag(self, run_id: int) -> str:
        """Give what changes whenever the page of a run does; to be cheap is all its worth."""
        secrets = self.environment().secrets.registered()
        with self.look() as found:
            state = found.trends.state(run_id)
        if state is None:
            raise Problem(404, "Not here", f"there is no run {run_id}")
        elapsed = SystemClock().utc().timestamp() // ELAPSED_S if state.status == _ON else 0
        return f"{hash((state, *secrets))}-{elapsed:.0f}"

    # -- search -----------------------------------------------------------------------------------

    def search(self, word: str) -> Page:
        """Give what is found of a word."""
        environment = self.environment()
        word = word.strip()[:200]
        run_id, workflows, hits = None, [], Hits([], [], [])
        if word:
            with self.look() as found:
                names = found.trends.workflows(WORKFLOWS_MAX)
                known = set(names) | set(self._definitions.known())
                workflows = sorted(name for name in known if word.lower() in name.lower())
                number = word.removeprefix("#")
                if number.isdecimal() and found.trends.state(min(int(number), (1 << 63) - 1)):
                    run_id = int(number)
                hits = search(found.database, word, json.dumps(names))
        facts = search_page.SearchFacts(word, run_id, workflows, hits)
        body = search_page.body(masked(facts, environment.secrets.mask))
        return Page("Search", body, q=word)


def asked_for(query: Mapping[str, str]) -> tuple[Asked, Wanted, str]:
    """Read what runs are wanted; of what cannot be read, say so and leave it out."""
    wrong = []
    given = {name: query.get(name, "")[:200] for name in ("workflow", "status", "since", "until")}
    if given["status"] and given["status"] not in {str(each) for each in RunStatus}:
        wrong.append(f"“{given['status']}” is no outcome of a run.")
        given["status"] = ""
    moments: dict[str, int | None] = {}
    for name in ("since", "until"):
        try:
            moments[name] = _midnight_us(given[name]) if given[name] else None
        except (ValueError, OverflowError, OSError):
            wrong.append(f"“{given[name]}” is no day: write 2026-01-31.")
            given[name], moments[name] = "", None
    before = query.get("before", "")
    number = int(before) if before.isdecimal() and before.isascii() and len(before) < 19 else None
    if before and number is None:
        wrong.append(f"“{before[:50]}” is no run's number.")
    wanted = Wanted(
        given["workflow"] or None,
        given["status"] or None,
        moments["since"],
        moments["until"],
        number,
    )
    return Asked(**given, before=number), wanted, " ".join(wrong)


def _midnight_us(day: str) -> int:
    """Give the beginning of a day of this machine's."""
    found = date.fromisoformat(day)
    return _us(datetime(found.year, found.month, found.day).astimezone())


def _us(at: datetime) -> int:
    return round(at.astimezone(UTC).timestamp() * 1_000_000)


def masked(value: Any, mask: Callable[[str], str]) -> Any:
    """Mask all texts in facts: a secret may have become one after they were written."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {masked(key, mask): masked(one, mask) for key, one in value.items()}
    if hasattr(value, "_fields"):
        return type(value)(*(masked(one, mask) for one in value))
    if isinstance(value, list | tuple):
        return [masked(one, mask) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        parts = {each.name: masked(getattr(value, each.name), mask) for each in fields(value)}
        return replace(value, **parts)
    return value
