"""Runs as traces, sent to a real server that speaks OTLP over HTTP."""

from __future__ import annotations

import contextlib
import http.server
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from engine.clock import SystemClock
from engine.paths import find_paths
from engine.secrets import Secrets
from engine.session import tracing
from engine.session.environment import Environment
from engine.session.reconciling import reconcile_all
from store.database import open_writer
from tests.store.filled import begun, dead_owner, did, end
from tests.system.alert_servers import Quiet, free_port, serving
from tests.system.project import Project

FLOW = """
import atexit, json

def load(ctx):
    if not Path("go").exists():
        raise ValueError("not yet")

def settled(ctx):
    before = set(sys.modules)
    atexit.register(lambda: print(json.dumps(sorted(set(sys.modules) - before))))

workflow = (
    Workflow("flow")
    .add(Step("fetch", does("fetched")))
    .add(Step("load", load, depends_on=["fetch"], retries=1, backoff="0.01s"))
    .add(Step("end", settled, depends_on=["load"]))
)
"""


class Collector:
    """What a collector was sent: each request's spans, with attributes as a dict, and headers."""

    def __init__(self) -> None:
        self.requests: list[list[dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.resources: list[dict[str, Any]] = []
        self.url = ""
        self.status = 200
        self.release = threading.Event()
        self.hangs = False

    def take(self, body: bytes) -> None:
        """Read one request."""
        request = ExportTraceServiceRequest.FromString(body)
        (of,) = request.resource_spans
        self.resources.append(_attributes(of.resource))
        spans = [span for scope in of.scope_spans for span in scope.spans]
        self.requests.append(
            [
                {
                    "name": span.name,
                    "trace": span.trace_id,
                    "id": span.span_id,
                    "parent": span.parent_span_id,
                    "status": (span.status.code, span.status.message),
                    "took_ns": span.end_time_unix_nano - span.start_time_unix_nano,
                    "links": [
                        (link.trace_id, link.span_id, _attributes(link)) for link in span.links
                    ],
                    **_attributes(span),
                }
                for span in spans
            ]
        )


def _attributes(of: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


@contextlib.contextmanager
def collector() -> Iterator[Collector]:
    """Serve a collector on loopback for the duration of a test."""

    class Handler(Quiet, http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            served.headers.append(dict(self.headers) | {"path": self.path})
            served.take(body)
            if served.hangs:
                served.release.wait(5)
            with contextlib.suppress(OSError):
                self.send_response(served.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

    served = Collector()
    with serving(Handler) as served.url:
        try:
            yield served
        finally:
            served.release.set()


OK, ERROR = 1, 2


def test_a_run_is_a_trace_with_a_span_for_each_attempt(project: Project) -> None:
    """A run that goes on links to the one that has its work; all it takes is loaded in time."""
    project.write("flow", FLOW)
    with collector() as served:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": served.url, "OTEL_EXPORTER_OTLP_HEADERS": "key=k1"}
        assert project.run("run", "flow", **env).code == 1
        (project.root / "go").touch()
        done = project.run("run", "flow", "-q", **env)
    assert (done.code, done.err) == (0, "")
    first, second = served.requests
    told = [(span["name"], span.get("kahnban.attempt"), span["status"]) for span in first]
    assert told == [
        ("flow", None, (ERROR, "")),
        ("load", 1, (ERROR, "ValueError: not yet")),
        ("load", 2, (ERROR, "ValueError: not yet")),
        ("fetch", 1, (OK, "")),
    ]
    run, *attempts = first
    assert {span["trace"] for span in first} == {run["trace"]}
    assert {span["parent"] for span in attempts} == {run["id"]}
    assert len({span["id"] for span in first}) == len(first)
    assert all(0 <= span["took_ns"] <= run["took_ns"] for span in attempts)
    assert (run["kahnban.run"], run["kahnban.failed"], run["kahnban.retries"]) == (1, 1, 1)
    (row,) = project.rows("SELECT finished_at - started_at FROM run_rows WHERE id = 1")
    assert run["took_ns"] == row[0] * 1000
    assert [span["name"] for span in second] == ["flow", "load", "end"]
    assert second[0]["trace"] != run["trace"]
    links = [(trace, span, facts["kahnban.link"]) for trace, span, facts in second[0]["links"]]
    assert links == [(run["trace"], run["id"], why) for why in ("reuses", "continues")]
    assert served.resources[0]["service.name"] == "kahnban"
    assert (served.headers[0]["path"], served.headers[0]["key"]) == ("/v1/traces", "k1")
    names = {name.partition(".")[0] for name in json.loads(done.out)}
    assert names - set(sys.stdlib_module_names) == set()


def a_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    """Send the trace of a run that failed, in this process."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    paths = find_paths({}, home=str(tmp_path), pipelines=str(tmp_path))
    environment = Environment(
        paths=paths,
        secrets=Secrets.given({"TOKEN": "s3cr3t-token"}),
        clock=SystemClock(),
        environ=environ,
    )
    database = open_writer(tmp_path / "home" / "runs.db")
    try:
        journal = begun(database, "a b>a", workflow="s3cr3t-token")
        did(journal, 0, outcomes="failed")
        end(journal, "failed", note="with s3cr3t-token")
        tracing.send(database, 1, environment)
    finally:
        database.close()


def test_the_trace_of_a_dead_engine_is_sent_by_who_records_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once each; where the first cannot be sent the others are not tried."""
    paths = find_paths({}, home=str(tmp_path), pipelines=str(tmp_path))

    def reconciled(url: str) -> None:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url} if url else {}
        environment = Environment(paths, Secrets.given({}), SystemClock(), environ)
        for name in ("one", "two"):
            did(begun(database, "a", workflow=name, owner=dead_owner(name)), 0, outcomes="failed")
        reconcile_all(database, environment)

    with closing(open_writer(tmp_path / "home" / "runs.db")) as database, collector() as served:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", served.url)  # the exporter reads it itself
            reconciled(served.url)
            patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
            reconciled("http://there")
        reconciled("")
    told = [(spans[0]["name"], spans[0]["kahnban.status"], len(spans)) for spans in served.requests]
    assert told == [("one", "interrupted", 2), ("two", "interrupted", 2)]
    assert sum("trace could not be sent" in line for line in caplog.messages) == 1


@pytest.mark.parametrize(
    ("status", "limit_s", "why"),
    [
        (403, 3.0, "the collector answered 403 Forbidden"),
        (302, 3.0, "the collector answered 302 Found"),
        (200, 0.3, "it took more than 0.3 s"),
        (None, 0.7, "[Errno 111] Connection refused"),
    ],
)
def test_a_collector_that_fails_fails_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int | None,
    limit_s: float,
    why: str,
) -> None:
    """It is said in one line, soon; what is sent is masked."""
    monkeypatch.setattr(tracing, "SEND_S", limit_s)
    tracing._spans()
    with collector() as served:
        served.status, served.hangs = status or 0, status == 200
        url = served.url if status else f"http://127.0.0.1:{free_port()}"
        begun_at = time.monotonic()
        a_failed_run(tmp_path, monkeypatch, {"OTEL_EXPORTER_OTLP_ENDPOINT": url})
        assert time.monotonic() - begun_at < 2.5
    (line,) = caplog.messages
    # Of the two that watch over the limit either may be the first.
    said = line.replace(": timed out", f": it took more than {limit_s:g} s")
    assert said == f"the trace could not be sent: {why}"
    assert "s3cr3t" not in f"{served.requests}"


def test_without_the_extra_there_are_no_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The variables may be there for other programs: nothing is said."""
    monkeypatch.delitem(sys.modules, "engine.session.spans", raising=False)
    exporter = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, exporter, None)
    with collector() as served:
        a_failed_run(tmp_path, monkeypatch, {"OTEL_EXPORTER_OTLP_ENDPOINT": served.url})
    assert (served.requests, caplog.messages) == ([], [])


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_traces_are_off_unless_asked_for(environ: dict[str, str]) -> None:
    """By the variables that all programs with OpenTelemetry read."""
    assert not tracing.is_on(environ)
    assert tracing.is_on({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"})
