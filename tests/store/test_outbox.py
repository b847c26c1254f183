"""The outbox: an alert is claimed before it is sent, and by one living process."""

from __future__ import annotations

from typing import Any

import pytest

from engine.alert import AlertRow, Due, Failure
from store.connection import Database
from store.history import History
from store.outbox import StoredOutbox
from tests.store.filled import begun, dead_owner, end, journal_of, us


@pytest.fixture
def outbox(database: Database) -> StoredOutbox:
    """Give the outbox of a store with alerts of two runs: slack and email of 1, slack of 2."""
    for channels in (["slack", "email"], ["slack"]):
        end(journal_of(database, begun(database).run_id, channels), "failed")
    return box(database)


def box(database: Database) -> StoredOutbox:
    """Open the outbox of this process; a payload names its run."""

    def payload(due: Due) -> dict[str, Any]:
        return {"run_id": due.run_id}

    return StoredOutbox(database, now_us=lambda: us(9.0), payload=payload)


def rows(database: Database) -> list[tuple[Any, ...]]:
    """All alerts as they stand."""
    sql = "SELECT id, status, tries, sent_at, error, owner IS NOT NULL FROM alert_rows ORDER BY id"
    return database.raw.execute(sql).fetchall()


def owned_by(database: Database, alert_id: int, owner: str) -> None:
    """Let another process have claimed an alert."""
    sql = "UPDATE alert_rows SET status = 'sending', owner = ? WHERE id = ?"
    database.raw.execute(sql, (owner, alert_id))


def test_claimed_oldest_first(database: Database, outbox: StoredOutbox) -> None:
    """Each with the report of its run; claimed durably before it is given."""
    assert outbox.claim() == [
        AlertRow(1, "slack", {"run_id": 1}, 0, age_s=4.0),
        AlertRow(2, "email", {"run_id": 1}, 0, age_s=4.0),
        AlertRow(3, "slack", {"run_id": 2}, 0, age_s=4.0),
    ]
    assert [row[1] for row in rows(database)] == ["sending"] * 3
    assert History(database).undelivered() == 3


def test_alerts_without_a_run(database: Database) -> None:
    """Each tells what it has: two of one workflow and kind are not the same."""
    for headline in ("one", "two"):
        database.raw.execute(
            "INSERT INTO alert_rows (channel, status, created_at, tries, error, kind, workflow,"
            " facts) VALUES ('slack', 'pending', 1, 0, '', 'missing', 'flow', ?)",
            (f'{{"headline": "{headline}"}}',),
        )
    told = StoredOutbox(database, now_us=lambda: us(9.0), payload=lambda due: due.facts)
    rows = told.claim()
    assert [(row.kind, row.payload["headline"]) for row in rows] == [
        ("missing", "one"),
        ("missing", "two"),
    ]


def test_a_channel_that_takes_none_keeps_no_other_from_its_alerts(database: Database) -> None:
    """However many of its alerts are older: the channels take turns."""
    for channels in [["email"]] * 30 + [["slack"]] * 2:
        end(journal_of(database, begun(database).run_id, channels), "failed")
    claimed = [row.id for row in box(database).claim(limit=3)]
    assert claimed == [1, 31, 2, 32, 3]


def test_no_more_than_asked_for(database: Database, outbox: StoredOutbox) -> None:
    """Of each channel; the rest stays due."""
    assert [row.id for row in outbox.claim(limit=1)] == [1, 2]
    assert [row[1] for row in rows(database)] == ["sending", "sending", "pending"]


def test_sent_failed_and_given_up(database: Database, outbox: StoredOutbox) -> None:
    """Sent and given up are done with; failed is due again, with its tries."""
    outbox.claim()
    outbox.sent(1)
    outbox.failed(2, Failure("refused"))
    outbox.failed(3, Failure("no such channel", give_up=True))
    assert rows(database) == [
        (1, "sent", 1, us(9.0), "", 0),
        (2, "pending", 1, None, "refused", 0),
        (3, "given_up", 1, us(9.0), "no such channel", 0),
    ]
    history, day = History(database), 86_400.0
    looked = {at: history.given_up(us(at)) for at in (8.0, 9.0, 9.0 + day, 10.0 + day)}
    assert [len(found) for found in looked.values()] == [0, 1, 1, 0]
    assert looked[9.0][0]["error"] == "no such channel"
    assert outbox.claim() == [AlertRow(2, "email", {"run_id": 1}, 1, age_s=4.0)]
    outbox.sent(2)
    assert rows(database)[1] == (2, "sent", 2, us(9.0), "", 0)
    assert outbox.claim() == []
    assert History(database).alerts() == []


def test_what_may_have_arrived_is_a_repeat(database: Database, outbox: StoredOutbox) -> None:
    """However often it is tried, or claimed and not tried, until it is sent."""
    outbox.claim()
    outbox.failed(1, Failure("no answer", unknown=True))
    assert rows(database)[0] == (1, "sending", 1, None, "no answer", 0)
    assert History(database).undelivered() == 3
    (row,) = [row for row in outbox.claim() if row.id == 1]
    assert (row.repeat, row.tries) == (True, 1)
    outbox.failed(1, Failure("not tried", tried=False, unknown=row.repeat))
    assert [row.repeat for row in outbox.claim() if row.id == 1] == [True]
    outbox.failed(1, Failure("no answer", unknown=True, give_up=True))
    assert [row.id for row in outbox.claim()] == [2, 3]


def test_what_a_dead_process_was_sending_is_due_again(
    database: Database, outbox: StoredOutbox
) -> None:
    """It may have been sent already, and says so."""
    owned_by(database, 1, dead_owner())
    owned_by(database, 2, "what is this")
    repeats = {row.id: row.repeat for row in outbox.claim()}
    assert repeats == {1: True, 2: True, 3: False}


def test_what_a_living_process_is_sending_is_left_alone(
    database: Database, outbox: StoredOutbox
) -> None:
    """Nobody gets an alert twice because two commands send."""
    import os

    from store import locks

    parent = os.getppid()
    started = locks._started(parent)
    assert started is not None
    boot_id = locks.this_process("").boot_id
    owned_by(database, 1, locks.Owner("", parent, boot_id, started).to_text())
    assert [row.id for row in outbox.claim()] == [2, 3]


def test_what_another_took_meanwhile_is_left_alone(database: Database) -> None:
    """Also where it has gone into a digest, as the reports for its claim are made."""
    end(journal_of(database, begun(database).run_id, ["slack", "email"]), "failed")

    def payload(due: Due) -> dict[str, Any]:
        database.raw.execute("DELETE FROM alert_rows WHERE id = 1")
        return {"run_id": due.run_id}

    outbox = StoredOutbox(database, now_us=lambda: us(9.0), payload=payload)
    assert [row.id for row in outbox.claim()] == [2]


def test_what_this_process_left_is_due_again(database: Database, outbox: StoredOutbox) -> None:
    """A delivery that ran out of time is taken up by the next one of the same process."""
    outbox.claim()
    assert [(row.id, row.repeat) for row in box(database).claim()] == [
        (1, True),
        (2, True),
        (3, True),
    ]
