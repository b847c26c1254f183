"""What a request becomes before anything is touched."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from engine.clock import SystemClock
from engine.model import Definition, Param
from engine.secrets import Secrets
from engine.session.deciding.asked import resolve_request
from engine.session.deciding.decision import Decision
from engine.session.deciding.request import RunRequest
from engine.session.record import slot_in
from store.past import PastRun

SLOT = 1_761_352_200_000_000  # 2025-10-25 02:30 in Berlin
DEFINITION = Definition("w", (), params={"region": Param(str, "eu"), "n": Param(int, 3)})


def params_text(home: Path, request: RunRequest, **environ: str) -> str:
    """Give the parameters as they would be recorded."""
    asked, _ = resolve_request(DEFINITION, request, SystemClock(), Secrets(home, environ))
    return asked.params_text


@pytest.mark.parametrize("started_by", ["hand", "timer"])
def test_a_command_takes_parameters_from_the_environment(tmp_path: Path, started_by: str) -> None:
    """They are recorded resolved, as if they had been given."""
    request = RunRequest(started_by=started_by, params={"n": "4"})
    told = params_text(tmp_path, request, ENGINE_PARAM_region="us", ENGINE_PARAM_n="5")
    assert told == '{"n": 4, "region": "us"}'


def test_they_may_stand_in_the_home(tmp_path: Path) -> None:
    """What the engine is told for every start stands in one file; the environment comes first."""
    env = tmp_path / "env"
    env.write_text("ENGINE_PARAM_region=us\nENGINE_PARAM_n=5\n", encoding="utf-8")
    env.chmod(0o600)
    told = params_text(tmp_path, RunRequest(), ENGINE_PARAM_n="6", ENGINE_PARAM_other="x")
    assert told == '{"n": 6, "region": "us"}'


def test_a_program_takes_none(tmp_path: Path) -> None:
    """Its parameters are those that it names, wherever it is started."""
    told = params_text(tmp_path, RunRequest(started_by="library"), ENGINE_PARAM_region="us")
    assert told == '{"n": 3, "region": "eu"}'


@pytest.mark.parametrize(
    ("slot", "day"), [(SLOT, "2025-10-25"), (SLOT - 9_000_000_001, "2025-10-24")]
)
def test_today_is_the_day_of_the_slot(tmp_path: Path, slot: int, day: str) -> None:
    """In the workflow's zone, however late it is; the slot itself is no parameter."""
    berlin = Definition("w", (), tz="Europe/Berlin", params={"d": Param(date, "today")})
    request = RunRequest(started_by="timer", slot=slot)
    asked, _ = resolve_request(berlin, request, SystemClock(), Secrets(tmp_path, {}))
    assert asked.params_text == f'{{"d": "{day}"}}'


def test_a_run_that_goes_on_has_the_slot_of_the_first(tmp_path: Path) -> None:
    """By hand too; one that starts anew has that of its own request."""
    past = PastRun(1, "w", "failed", "{}", "", 0, 1, 0, "", SLOT)
    for slot in (None, SLOT + 1):
        request = RunRequest(slot=slot)
        asked, _ = resolve_request(DEFINITION, request, SystemClock(), Secrets(tmp_path, {}))
        assert slot_in(asked, Decision("", {}, past=past)) == SLOT
        assert slot_in(asked, Decision("", {})) == slot


def test_a_resumed_run_takes_none(tmp_path: Path) -> None:
    """It has the parameters that its chain was made with."""
    told = params_text(tmp_path, RunRequest(resume="3"), ENGINE_PARAM_n="no number")
    assert told == "{}"
