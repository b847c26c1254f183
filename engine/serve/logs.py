"""The pages of logs, and what is added to a log that is followed."""

from __future__ import annotations

from engine.errors import UsageError
from engine.reports.html import logs_page
from engine.reports.html.logs_page import LogFacts, LogFile, LogsFacts
from engine.serve import log_files
from engine.serve.answers import Answers, Page, masked
from engine.serve.log_files import Chunk
from engine.serve.looking import Look, Problem

LISTED_MAX = 500
_ENDED = ("ok", "failed", "skipped", "cached", "cancelled", "interrupted")


class Logs:
    """Makes the pages of logs; what there is to read is looked up in the store."""

    def __init__(self, answers: Answers) -> None:
        """Look by `answers`."""
        self._answers = answers

    def listed(self, run_id: int) -> Page:
        """Give the list of a run's logs."""
        environment = self._answers.environment()
        with self._answers.look() as found:
            workflow = str(found.history.run(run_id)["workflow"])
            with log_files.folder_of(environment.paths.home, workflow, run_id) as folder:
                there = log_files.names_in(folder)
            places = found.history.positions(run_id, {step for step, _ in there})
        logs = sorted(
            (places[step], number, step, size)
            for (step, number), size in there.items()
            if step in places
        )
        shown = [LogFile(step, number, size) for _, number, step, size in logs[:LISTED_MAX]]
        facts = masked(LogsFacts(run_id, workflow, shown, len(logs)), environment.secrets.mask)
        return Page(f"Logs of run {run_id} · {workflow}", logs_page.list_body(facts))

    def log(self, run_id: int, step: str, number: int) -> Page:
        """Give the page of one log, from its end back as far as fits."""
        environment = self._answers.environment()
        with self._answers.look() as found:
            workflow, status, attempts = self._step(found, run_id, step)
            chunk = self._read(run_id, workflow, step, number, None)
        if not 1 <= number <= max(1, attempts):
            raise Problem(404, "Not here", f"step '{step}' of run {run_id} has no attempt {number}")
        is_on = status not in _ENDED and number == attempts
        facts = LogFacts(
            run_id=run_id,
            workflow=workflow,
            step=step,
            number=number,
            attempts=attempts,
            status=status,
            text=chunk.text,
            before=chunk.begin,
            end=chunk.end if is_on else None,
        )
        body = logs_page.body(masked(facts, environment.secrets.mask))
        return Page(f"Log of {step}, run {run_id}", body)

    def added(self, run_id: int, step: str, number: int, at: int) -> tuple[Chunk, bool]:
        """Give what a log has from a place on, and whether more may come.

        How the step stands is asked for first: what it wrote before its end is read after that.
        """
        with self._answers.look() as found:
            workflow, status, attempts = self._step(found, run_id, step)
            chunk = self._read(run_id, workflow, step, number, at)
        more = chunk.end - at >= log_files.TEXT_BYTES_MAX // 2
        return chunk, more or (status not in _ENDED and number == attempts)

    def _read(self, run_id: int, workflow: str, step: str, number: int, at: int | None) -> Chunk:
        environment = self._answers.environment()
        with log_files.folder_of(environment.paths.home, workflow, run_id) as folder:
            return log_files.read(folder, step, number, at, environment.secrets.mask)

    def _step(self, found: Look, run_id: int, step: str) -> tuple[str, str, int]:
        """Give workflow, status and attempts of a step. Raises `UsageError` if there is none."""
        run = found.history.run(run_id)
        status = found.trends.step_in(run_id, step)
        if status is None:
            raise UsageError(f"run {run_id} has no step '{step}'")
        return str(run["workflow"]), *status
