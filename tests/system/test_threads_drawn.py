"""Any sequence of failures and recoveries: once all is well, no thread in Slack says otherwise."""

from __future__ import annotations

import os
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.alert import AlertKind, Due
from engine.alerts import delivery
from engine.clock import SystemClock
from store import incidents, threads
from store.connection import Database
from store.memory import memory_store
from store.outbox import StoredOutbox
from tests.store.filled import us
from tests.store.test_incidents import run
from tests.system.alert_servers import Slack, retry_soon, slack_api

SEEDS = int(os.environ.get("KAHNBAN_THREADS", "2"))
FIRST = int(os.environ.get("KAHNBAN_SEED", "5"))  # these find a list that is not changed
DAY = 86_400.0
ERRORS = ("ValueError: x", "TypeError: y")


def send(database: Database, served: Slack) -> None:
    """Deliver all that is due, as a bot."""

    def payload(due: Due) -> dict[str, Any]:
        status = "ok" if due.kind is AlertKind.RUN else "failed"
        return {"workflow": "flow", "run_id": due.run_id, "status": status, "facts": due.facts}

    box = StoredOutbox(database, now_us=lambda: us(0.0), payload=payload)
    bot = {"SLACK_BOT_TOKEN": "x", "SLACK_CHANNEL": "C1", "KAHNBAN_SLACK_API": served.url}
    while delivery.deliver(box, bot.get, clock=SystemClock()).sent:
        pass


def play(database: Database, served: Slack, drawn: random.Random) -> None:
    """Let workflows fail and recover, deliver, and lose messages, until all is ok at last."""
    flows = [(f"flow{n}", drawn.choice([1, 2, 12])) for n in range(drawn.choice([1, 3, 12]))]
    at, turns = 0.0, drawn.randint(2, 5)
    for turn in range(turns + 1):
        at += drawn.choice([60.0, DAY])
        for flow, count in flows:
            bad = 0.0 if turn == turns else drawn.choice([0.0, 0.2, 0.8, 1.0])
            words = [drawn.choice(ERRORS) if drawn.random() < bad else "ok" for _ in range(count)]
            names = " ".join(f"s{n}" for n in range(count))
            run(database, names, *words, at=at, workflow=flow)
            if drawn.random() < 0.5:
                send(database, served)
        send(database, served)
        if turn < turns and drawn.random() < 0.5:
            lost = drawn.sample(sorted(served.messages), min(3, len(served.messages)))
            for message in lost:
                del served.messages[message]


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_no_thread_stays_behind(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However incidents were told of: one by one, in lists, in lists of lists, or anew."""
    retry_soon(monkeypatch)
    monkeypatch.setattr(incidents, "SHOWN_MAX", 10_000)  # those beyond stay as they are
    for module in (incidents, threads):
        monkeypatch.setattr(module, "APART_MAX", 10_000)
    monkeypatch.setattr(threads, "_APART", threads._APART.replace("LIMIT 15", ""))
    with closing(memory_store(Path("/proc/none/runs.db"))) as database, slack_api() as served:
        play(database, served, random.Random(seed))
        (left,) = database.raw.execute("SELECT count(*) FROM alert_rows WHERE status <> 'sent'")
        begun = [body["text"] for body in served.messages.values() if "thread_ts" not in body]
    assert left == (0,)
    assert [text for text in begun if "recovered" not in text and " ok" not in text] == []
