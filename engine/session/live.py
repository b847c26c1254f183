"""A run that is really run: lock, reconcile, decide, begin, drive, report, alert."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from engine.errors import AlreadyRunning, EngineError, StoreFull
from engine.failpoints import failpoint
from engine.garbage import no_collections
from engine.model import RunStatus
from engine.session import alerting, reporting, tracing
from engine.session.again import resume_command
from engine.session.deciding.decide import decide
from engine.session.deciding.decision import Decision
from engine.session.deciding.preview import plan_rows, preview_rows
from engine.session.drive import Drive
from engine.session.opening import opened
from engine.session.overlap import already_running, lock_name, running_now
from engine.session.reconciling import reconcile_all
from engine.session.record import Going, new_run
from engine.session.telling import ChannelsFor, channels_for
from engine.session.weighing import weighed
from engine.slots import Catchup
from store import journal, locks, reserve, slots
from store.connection import Database
from store.history import History
from store.new_run import NewRun

logger = logging.getLogger("engine.run")

AWAITED_S = 20.0  # that a timer's run waits for another to begin or be over: alerts take some time


class LiveRun:
    """One invocation of `run`, from the lock to the exit.

    A backfill and the runs that it is made of do some of the steps in another way: see
    `engine.session.backfill.runs`.
    """

    def __init__(self, going: Going) -> None:
        """Nothing is touched yet."""
        self._going = going
        self._compiled = going.compiled
        self._asked = going.asked
        self._env = going.environment
        self._name = going.compiled.definition.name
        self._held_s = 0.0

    def go(self) -> dict[str, Any]:
        """Do it; gives the report (see `engine.session.run_workflow` for what it raises)."""
        with opened(self._env) as database:
            lock = self._acquire(database) or self._await(database)
            if lock is None:
                return self._overlapping(database)
            try:
                return self._locked(database, lock)
            finally:
                lock.release()

    def _acquire(self, database: Database) -> locks.RunLock | None:
        """Take the lock that runs which must not overlap share."""
        name = lock_name(self._compiled.definition, self._params(database))
        return locks.acquire(database.path, name)

    def _await(self, database: Database) -> locks.RunLock | None:
        """Give who is just starting or ending time for it, if a slot is at stake.

        Another timer may be about to claim that slot: if it were said to be skipped now, it would
        have no run at all. Raises `SlotTaken` if it is claimed.
        """
        if (slot := self._asked.request.slot) is None:
            return None
        clock, params = self._env.clock, self._params(database)
        until = clock.now() + AWAITED_S
        while clock.now() < until:
            if not self._env.inbox.empty():
                raise KeyboardInterrupt
            slots.check_free(database, self._name, slot)
            if running_now(History(database), self._name, params, beside=self._beside):
                return None
            if lock := self._acquire(database):
                return lock
        return None

    @property
    def _beside(self) -> bool:
        """Whether runs of other parameters may be on at the same time."""
        return self._compiled.definition.overlap == "params"

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
        params = self._params(database)
        refusal = already_running(history, self._name, params, beside=self._beside)
        if self._asked.request.started_by != "timer":
            raise refusal
        decision = Decision("", self._asked.params)
        new = new_run(self._going, decision, owner="", note=refusal.message)
        all_of_them = self._compiled.definition.catchup == Catchup.ALL
        is_on = running_now(history, self._name, params, beside=self._beside)
        if new.slot is not None and (all_of_them or not is_on):
            slots.check_free(database, self._name, new.slot)
            new = replace(new, slot=None)  # it stays due: who is on may be about to run it
        channels = channels_for(self._compiled.definition, history, self._env)
        status = RunStatus.SKIPPED
        run_id = journal.record_ended_run(database, new, status, channels(status))
        logger.warning("skipped: %s", refusal.message)
        report = reporting.build_report(history, run_id, self._env)
        alerting.deliver_due(database, history, self._env)
        return report

    # -- ours -------------------------------------------------------------------------------------

    def _locked(self, database: Database, lock: locks.RunLock) -> dict[str, Any]:
        env = self._env
        history = History(database)
        self._reconcile(database, lock)
        after = history.last_number(self._name)
        if running_now(history, self._name, self._params(database), beside=self._beside):
            return self._overlapping(database)  # under another lock
        decision = self._decide(history)
        if decision.nothing:
            return self._nothing(database, history, decision)
        if not env.inbox.empty():
            raise KeyboardInterrupt  # stopped before anything was begun
        self._announce(history, decision)
        channels = self._channels(history)
        try:
            run_id = self._begin(database, lock, decision, after)
        except AlreadyRunning:
            return self._overlapping(database)
        drive = self._drive(decision, database, lock, run_id)
        try:
            return self._driven((drive, run_id), database, lock, channels)
        except EngineError as error:
            error.begun = True
            raise
        finally:
            drive.wait_for_pings()

    def _driven(
        self,
        begun: tuple[Drive, int],
        database: Database,
        lock: locks.RunLock,
        channels: ChannelsFor,
    ) -> dict[str, Any]:
        """Drive a run that is begun, to its report."""
        (drive, run_id), history = begun, History(database)
        try:
            failpoint("run-begun")
            end, left = drive.run(channels)
            failpoint("run-ended")
        except BaseException as error:
            drive.end_pings(well=False)
            recorded = self._fail(database, lock, error)
            if isinstance(error, Exception):
                self._tell(database, error, channels, recorded=recorded)
            raise
        report = self._reported(history, run_id, left)
        logger.log(
            logging.INFO if end.status is RunStatus.OK else logging.ERROR,
            "run %d of %s %s",
            run_id,
            self._name,
            end.status,
            extra={"run": run_id},
        )
        self._held_s = drive.held_s
        self._finish(database, history, interrupted=drive.interrupted)
        tracing.send(database, run_id, self._env)
        if drive.interrupted:
            raise KeyboardInterrupt
        return report

    def _reported(self, history: History, run_id: int, left: int) -> dict[str, Any]:
        """Write the report of the run that has ended, and its page; gives the report."""
        env = self._env
        with no_collections():
            report = reporting.build_report(history, run_id, env, threads_left=left)
        if env.pages:
            from engine.session import pages

            pages.write_page(report, history, env)
        reporting.write_report(report, env)
        failpoint("report-written")
        return report

    def _reconcile(self, database: Database, lock: locks.RunLock) -> None:
        reconcile_all(database, self._env, definition=self._compiled.definition, mine=lock)

    def _decide(self, history: History) -> Decision:
        with no_collections():
            decision = decide(self._compiled, self._asked, history)
        workers = self._asked.request.workers
        return weighed(decision, self._compiled, history, workers=workers)

    def _channels(self, history: History) -> ChannelsFor:
        return channels_for(self._compiled.definition, history, self._env)

    def _drive(
        self, decision: Decision, database: Database, lock: locks.RunLock, run_id: int
    ) -> Drive:
        return Drive(self._going, decision, database, lock, run_id)

    def _new_run(self, decision: Decision, owner: str, after: int) -> NewRun:
        new = new_run(self._going, decision, owner=owner)
        return replace(new, after=after, beside=self._beside)

    def _finish(self, database: Database, history: History, *, interrupted: bool) -> None:
        """Send what is due and clean up, once the run's end and report are there."""
        from engine.session.schedules import pausing

        if self._asked.request.started_by == "timer":
            most = self._compiled.definition.pause_after
            pausing.after_failures(database, self._env, self._name, most)
        elif self._asked.request.started_by == "hand":
            pausing.mention(database, self._env, self._compiled.definition)
        alerting.deliver_due(database, history, self._env, held_s=self._held_s)
        if not interrupted:
            from engine.session import pruning

            for name in self._prunes():
                pruning.after_run(database, self._env, name)
        database.checkpoint()

    def _prunes(self) -> list[str]:
        """Name the workflows whose old runs go when this one has ended."""
        return [self._name]

    def _begin(
        self, database: Database, lock: locks.RunLock, decision: Decision, after: int
    ) -> int:
        """Record the run as running, and say so; gives its number."""
        owner = locks.this_process(lock.name)
        lock.begin(owner)
        run_id = journal.begin_run(database, self._new_run(decision, owner.to_text(), after))
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
        channels: ChannelsFor,
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
            command = resume_command(self._env, run)
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
