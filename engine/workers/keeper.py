"""What the step processes of one run have in common: marker, steps lock, fork server, warden."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from engine.errors import EngineError
from engine.ports import Job
from engine.workers.isolation.forking import Forks
from engine.workers.isolation.orders import Setup
from engine.workers.procfs import ATTEMPT_VARIABLE, ENGINE_VARIABLE, Marker
from engine.workers.warden import Warden
from engine.workers.warden_program import LockFiles


class Keeper:
    """Keeps a run's step processes: each is known by its marker and holds the run's steps lock."""

    def __init__(
        self,
        setup: Setup,
        engine: str,
        locks: tuple[int, LockFiles],
        environ: Callable[[], Mapping[str, str]],
    ) -> None:
        """Nothing is started yet; `engine` is this process's part of the marker.

        `locks` has the descriptor of the steps lock, and which files it and the run's own are.
        """
        self._run_id = setup.run_id
        self._engine = engine
        self._isolates = bool(setup.orders)
        self._live: set[Job] = set()
        steps_fd, files = locks
        self.pass_fds = (steps_fd,)
        self._forks = Forks(setup, lambda: _marked(environ(), engine))
        self._warden = Warden(engine, files)

    def start(self) -> None:
        """Start what takes a while to be ready, without waiting for it.

        Whether that could be done, the first attempt will tell.
        """
        self._warden.watch()
        if self._isolates:
            with suppress(OSError, EngineError):
                self._forks.start()

    @contextmanager
    def attempt(self, job: Job) -> Iterator[Marker]:
        """Watch over an attempt; gives what its processes carry in their environment."""
        self._warden.watch()
        self._live.add(job)
        try:
            yield self.marker(job)
        finally:
            self._live.discard(job)

    def marker(self, job: Job) -> Marker:
        """Give the marker of an attempt."""
        return Marker(self._engine, f"{self._run_id}/{job.step}/{job.number}")

    def spare(self, job: Job) -> None:
        """Leave alone what a command that ended well has left in the background."""
        self._warden.spare(self.marker(job).attempt)

    def fork(self, job: Job, fds: Sequence[int]) -> None:
        """Have an isolated step's process forked, with `fds` as its ends."""
        self._forks.request(job.step, self.marker(job).attempt, [*fds, *self.pass_fds])

    def go_on(self) -> None:
        """See that what tells of the ends of isolated steps is not halted."""
        self._forks.go_on()

    def close(self) -> None:
        """End what this has started, and what attempts that are still live have."""
        self._forks.close()
        self._warden.close(in_peace=not self._live)


def _marked(environ: Mapping[str, str], engine: str) -> dict[str, str]:
    """Mark what a run starts by itself; an attempt that this very engine is part of is not told."""
    kept = {name: text for name, text in environ.items() if name != ATTEMPT_VARIABLE}
    return {**kept, ENGINE_VARIABLE: engine}
