"""A run that is really run: lock, reconcile, decide, begin, drive, report, alert."""

from __future__ import annotations

import logging
from typing import Any

from engine.errors import EngineError, StoreFull
from engine.failpoints import failpoint
from engine.model import RunStatus
from engine.paths import make_home
from engine.session import alerting, reporting
from engine.session.decide import Decision, decide
from engine.session.drive import Drive
from engine.session.overlap import already_running, lock_name, running_now
from engine.session.preview import plan_rows, preview_rows
from engine.session.reconciling import reconcile_all
from engine.session.record import Going, new_run
from engine.session.run_files import highest_run
from store import journal, locks, reserve
from store.connection import Database
from store.database import open_writer, path_of
from store.history import History

logger = logging.getLogger("engine.run")


class LiveRun:
    """One invocation of `run`, from the lock to the exit."""

    def __init__(self, going: Going) -> None:
        """Nothing is touched yet."""
        self._going = going
        self._compiled = going.compiled
        self._asked = going.asked
        self._env = going.environment
        self._name = going.compiled.definition.name

    def go(self) -> dict[str, Any]:
        """Do it; gives the report (see `engine.session.run_workflow` for what it raises)."""
        env = self._env
        path = path_of(env.paths.store_url)
        make_home(env.paths.home)
        database = open_writer(path, beyond=lambda: highest_run(env.paths.home))
        try:
            lock = locks.acquire(path, lock_name(self._compiled.definition, self._params(database)))
            if lock is None:
                return self._overlapping(database)
            try:
                return self._locked(database, lock)
            finally:
                lock.release()
        finally:
            database.close()

    def _params(self, database: Database) -> str:
        """Give the parameters of the run to be, as recorded: those of the run it goes on from."""
        resume = self._asked.request.resume
        if resume is None:
            return self._asked.params_text
        history = History(database)
        return history.past(history.find(resume)).params

    # -- another run is on ------------------------------------------------------------------------

    def _overlapping(self, database: Database) -> dict[str, Any]:
        history = History(database)
        same = self._compiled.definition.overlap == "params"
        refusal = already_running(
            history, self._name, params=self._params(database) if same else None
        )
        if self._asked.request.started_by != "timer":
            raise refusal
        decision = Decision("", self._asked.params)
        new = new_run(self._going, decision, owner="", note=refusal.message)
        channels = alerting.channels_for(self._compiled.definition, history, self._env)
        status = RunStatus.SKIPPED
        run_id = journal.record_ended_run(database, new, status, channels(status))
        logger.warning("skipped: %s", refusal.message)
        report = reporting.build_report(history, run_id, self._env)
        alerting.deliver_due(database, history, self._env)
        return report

    # -- ours -------------------------------------------------------------------------------------

    def _locked(self, database: Database, lock: locks.RunLock) -> dict[str, Any]:
        env, asked = self._env, self._asked
        history = History(database)
        reconcile_all(database, env, definition=self._compiled.definition, mine=lock)
        same = self._params(database) if self._compiled.definition.overlap == "params" else None
        if running_now(history, self._name, params=same):
            return self._overlapping(database)  # under the lock of another `overlap`
        decision = decide(self._compiled, asked, history)
        if decision.nothing:
            return self._nothing(database, history, decision)
        if not env.inbox.empty():
            raise KeyboardInterrupt  # stopped before anything was begun
        self._announce(history, decision)
        channels = alerting.channels_for(self._compiled.definition, history, env)
        run_id = self._begin(database, lock, decision)
        try:
            failpoint("run-begun")
            drive = Drive(self._going, decision, database, lock, run_id)
            end, left = drive.run(channels)
            failpoint("run-ended")
        except BaseException as error:
            recorded = self._fail(database, lock, error)
            if isinstance(error, Exception):
                self._tell(database, error, channels, recorded=recorded)
            raise
        report = reporting.build_report(history, run_id, env, threads_left=left)
        reporting.write_report(report, env)
        failpoint("report-written")
        logger.log(
            logging.INFO if end.status is RunStatus.OK else logging.ERROR,
            "run %d of %s %s",
            run_id,
            self._name,
            end.status,
            extra={"run": run_id},
        )
        alerting.deliver_due(database, history, env)
        if not drive.interrupted:
            from engine.session import pruning

            pruning.after_run(database, env, self._name)
        database.checkpoint()
        if drive.interrupted:
            raise KeyboardInterrupt
        return report

    def _begin(self, database: Database, lock: locks.RunLock, decision: Decision) -> int:
        """Record the run as running, and say so; gives its number."""
        owner = locks.this_process(lock.name)
        lock.begin(owner)
        new = new_run(self._going, decision, owner=owner.to_text())
        run_id = journal.begin_run(database, new)
        lock.reached(run_id, 0)
        past = decision.past
        how = "starts anew" if past is None else f"continues run {past.run_id}"
        text = "run %d of %s %s: %s"
        logger.info(text, run_id, self._name, how, decision.reason, extra={"run": run_id})
        return run_id

    def _fail(self, database: Database, lock: locks.RunLock, error: BaseException) -> bool:
        """Record that the machine or the engine ended the run; whether the store still took it."""
        why = f"the engine failed: {type(error).__name__}"
        if isinstance(error, EngineError):
            why = error.message
        elif isinstance(error, KeyboardInterrupt):
            why = "stopped by KeyboardInterrupt"
        if isinstance(error, StoreFull):
            reserve.give_up(database)
        try:
            reconcile_all(
                database,
                self._env,
                definition=self._compiled.definition,
                mine=lock,
                why=self._env.secrets.mask(why),
            )
        except Exception:  # noqa: BLE001 - what ended the run is what is to be told
            return False
        return True

    def _tell(
        self,
        database: Database,
        error: Exception,
        channels: alerting.ChannelsFor,
        *,
        recorded: bool,
    ) -> None:
        """Alert of such an end now: from the outbox, or directly where there is no record of it."""
        if recorded:
            alerting.deliver_due(database, History(database), self._env)
        elif isinstance(error, EngineError) and tuple(channels(RunStatus.INTERRUPTED)):
            headline = f"a run of {self._name} was stopped and could not be recorded"
            for warning in alerting.tell_directly(
                headline, error, self._env.secrets, self._env.clock
            ):
                logger.warning("%s", warning)
        if isinstance(error, EngineError):
            error.alerted = True

    def _nothing(self, database: Database, history: History, decision: Decision) -> dict[str, Any]:
        logger.info("nothing to do: %s", decision.reason)
        done = decision.past.run_id if decision.past else None
        if done is None:
            done = history.succeeded(
                self._name, self._asked.params_text, self._asked.context_sha256
            )
        assert done is not None
        report = reporting.build_report(history, done, self._env)
        alerting.deliver_due(database, history, self._env, hint=False)
        return report | {"nothing_to_do": decision.reason}

    def _announce(self, history: History, decision: Decision) -> None:
        if decision.unfinished is not None:
            run = history.run(decision.unfinished)
            command = reporting.resume_command(self._env, run)
            logger.warning(
                "run %d did not end well; to go on from it: %s", decision.unfinished, command
            )
        if self._env.show is None:
            return
        if decision.past is not None:
            self._env.show(decision, preview_rows(self._compiled, decision))
        elif decision.choices:
            expected = history.medians(self._name)
            self._env.show(decision, plan_rows(self._compiled, decision, expected))
