"""`alerts`: list the undelivered and the newly given up, send those due, or try the channels."""

from __future__ import annotations

import argparse
import socket

from engine.cli import project
from engine.cli.console import print_json, print_result, say_lost, shown
from engine.cli.writing import say_upgraded
from engine.clock import SystemClock
from engine.ports import Paths
from engine.secrets import Secrets
from engine.text import printable


def alerts(parsed: argparse.Namespace) -> int:
    """Do one of the three; 1 if something could not be sent."""
    paths = project.paths_of(parsed)
    secrets = project.secrets_of(paths)
    match parsed.what:
        case "test":
            return _test(parsed, secrets)
        case "send":
            return _send(parsed, paths, secrets)
        case _:
            return _list(parsed, paths)


def _test(parsed: argparse.Namespace, secrets: Secrets) -> int:
    from engine.alerts.channels import half_configured
    from engine.alerts.delivery import send_test

    outcomes = send_test(secrets.setting, socket.gethostname(), clock=SystemClock())
    if parsed.json:
        print_json(
            [{"channel": channel, "sent": ok, "said": said} for channel, ok, said in outcomes]
        )
    else:
        for warning in half_configured(secrets.setting):
            print_result(warning)
        for _, _, said in outcomes:
            print_result(shown(secrets.mask(said)))
        if not outcomes:
            print_result("no channel is configured: set SLACK_WEBHOOK_URL, or SMTP_URL and MAIL_TO")
    return 0 if outcomes and all(ok for _, ok, _ in outcomes) else 1


def _send(parsed: argparse.Namespace, paths: Paths, secrets: Secrets) -> int:
    """Reconcile first, so that a dead engine's alert goes out too; then send what is due."""
    from engine.session import alerting
    from engine.session.reconciling import reconcile_all
    from store.database import is_there, open_writer, path_of
    from store.history import History

    environment = project.environment_of(parsed)
    path = path_of(paths.store_url)
    if not is_there(path):
        print_result("nothing to send: there is no store yet")
        return 0
    database = open_writer(path)
    try:
        say_upgraded(database)
        history = History(database)
        reconcile_all(database, environment)
        waiting = history.undelivered()
        result = last = alerting.deliver_due(database, history, environment)
        while result and last and last.sent and not last.failed and history.undelivered():
            last = alerting.deliver_due(database, history, environment)  # it takes some at a time
            result = result.with_more(last) if last else result
    finally:
        database.close()
    if result is None:
        text = "no channel is configured: set SLACK_WEBHOOK_URL, or SMTP_URL and MAIL_TO"
        print_result(text if waiting else "nothing to send")
        return 1 if waiting else 0
    for warning in result.warnings:
        print_result(shown(secrets.mask(warning)))
    print_result(f"sent {result.sent}, failed {result.failed}, given up {result.given_up}")
    return 1 if result.failed or result.given_up else 0


def _list(parsed: argparse.Namespace, paths: Paths) -> int:
    from store import losses
    from store.database import open_reader, path_of
    from store.history import History

    clock = SystemClock()
    database = open_reader(path_of(paths.store_url))
    try:
        say_lost(losses.told(losses.of_store(database)))
        history = History(database)
        rows = history.given_up(clock.stamp(clock.now())) + history.alerts()
    finally:
        database.close()
    if parsed.json:
        print_json(rows)
        return 0
    for row in rows:
        error = f": {printable(row['error'])}" if row["error"] else ""
        tries = f"{row['tries']} {'try' if row['tries'] == 1 else 'tries'}"
        whose = printable(row["workflow"]) if row["run_id"] is None else f"run {row['run_id']}"
        status = row["status"].replace("_", " ")
        print_result(f"{whose}  {row['channel']}  {status}  {tries}{error}")
    if not rows:
        print_result("no undelivered alerts")
    return 0
