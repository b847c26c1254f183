"""The addresses of the dashboard, and how its pages are sent."""

from __future__ import annotations

import json
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

import engine
from engine.clock import SystemClock
from engine.reports.html import search_page, shell
from engine.secrets import Secrets
from engine.serve.answers import Answers, Page
from engine.serve.guard import Guard, hosts
from engine.serve.logs import Logs
from engine.serve.looking import Problem, is_missing
from engine.serve.shared import Answer, Shared

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

THREADS = 4
PAGE_BYTES_MAX = 8_000_000
FOREVER = ("cache-control", "private, max-age=31536000, immutable")
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_EVERY = "live-every"
_NEXT = "log-next"
_RUN_MAX = (1 << 63) - 1  # that the store can hold
_KNOWN = frozenset(("workflow", "status", "since", "until", "before", "q"))

MakePage = Callable[[], Page]


class Dashboard:
    """Answers requests: pages are made in few threads, once for all who ask."""

    def __init__(self, answers: Answers, complain: Callable[[str], None]) -> None:
        """Send the pages of `answers`; what is a fault of ours goes to `complain`."""
        self._answers = answers
        self._logs = Logs(answers)
        self._complain = complain
        self._shared = Shared(SystemClock(), ThreadPoolExecutor(THREADS, "page"))

    def app(self, port: int) -> ASGIApp:
        """Give the application, for a server that listens at `port`."""
        routes: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [
            ("/", self._page(lambda _: self._answers.first)),
            ("/runs", self._page(self._of_query)),
            ("/runs/{run:int}", self._run),
            ("/runs/{run:int}/logs", self._page(self._of_logs)),
            ("/runs/{run:int}/logs/{step}/{number:int}", self._log),
            ("/workflows/{workflow}", self._page(self._of_workflow)),
            ("/workflows/{workflow}/steps/{step}", self._page(self._of_step)),
            ("/search", self._page(self._of_search)),
            ("/health", self._health),
            ("/style.css", _asset(shell.STYLE, "text/css; charset=utf-8")),
            ("/script.js", _asset(shell.SCRIPT, "text/javascript; charset=utf-8")),
            ("/{rest:path}", self._nothing),
        ]
        app = Starlette(routes=[Route(path, call) for path, call in routes])
        app.router.redirect_slashes = False
        return Guard(app, hosts(port))

    # -- pages ------------------------------------------------------------------------------------

    def _of_query(self, asked: Request) -> MakePage:
        query = dict(asked.query_params)
        return lambda: self._answers.runs(query)

    def _of_workflow(self, asked: Request) -> MakePage:
        return lambda: self._answers.workflow(asked.path_params["workflow"])

    def _of_step(self, asked: Request) -> MakePage:
        names = asked.path_params
        return lambda: self._answers.step(names["workflow"], names["step"])

    def _of_logs(self, asked: Request) -> MakePage:
        return lambda: self._logs.listed(_run_of(asked))

    def _of_search(self, asked: Request) -> MakePage:
        word = asked.query_params.get("q", "")
        return lambda: self._answers.search(word)

    def _page(
        self, make: Callable[[Request], MakePage]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(asked: Request) -> Response:
            return await self._sent(asked, self._made(make(asked), _here(asked)))

        return answer

    async def _run(self, asked: Request) -> Response:
        run_id = _run_of(asked)
        whole = self._made(lambda: self._answers.run(run_id), _here(asked))

        def made(before: Answer | None) -> Answer:
            """Make the page anew only if the run has got on."""
            state = self._caught(lambda: Answer(200, self._answers.run_tag(run_id).encode()))
            tag = state.body.decode() if state.status == 200 else ""
            if before is not None and tag and before.state == tag:
                return before
            return whole(before)._replace(state=tag)

        return await self._sent(asked, made)

    async def _log(self, asked: Request) -> Response:
        names = asked.path_params
        run_id, step, number = _run_of(asked), names["step"], names["number"]
        at = asked.query_params.get("at", "")
        if not at:
            make = self._made(lambda: self._logs.log(run_id, step, number), _here(asked))
            return await self._sent(asked, make)
        if not (at.isdecimal() and at.isascii() and len(at) < 15):
            return _response(Answer(400, b"no such place in a log\n", _TEXT))

        def added(_before: Answer | None) -> Answer:
            chunk, more = self._logs.added(run_id, step, number, int(at))
            place = shell.address("runs", run_id, "logs", step, number, at=chunk.end)
            head = ((_NEXT, place),) if more else ()
            return Answer(200, chunk.text.encode("utf-8", "backslashreplace"), _TEXT, head)

        key = f"{_here(asked)}?at={at}"
        return _response(await self._shared.get(key, lambda old: self._caught(lambda: added(old))))

    async def _health(self, asked: Request) -> Response:
        def look() -> Answer:
            told = {"version": engine.__version__, "store": "ok", "problem": None}
            status = 200
            try:
                if is_missing(self._answers.store):
                    told["store"] = "none yet"
                else:
                    with self._answers.look() as found:
                        told["store"] = "lost what was recorded" if found.losses() else "ok"
            except Problem as problem:
                told |= {"store": problem.title, "problem": problem.message}
                status = 503
            return Answer(status, f"{json.dumps(told)}\n".encode(), _JSON)

        return _response(await self._shared.get(_here(asked), lambda _: self._caught(look)))

    async def _nothing(self, _asked: Request) -> Response:
        def nothing() -> Page:
            raise Problem(404, "Not here", "there is no such page", "begin at the first one: /")

        return _response(self._made(nothing, "")(None))

    # -- sending ----------------------------------------------------------------------------------

    async def _sent(self, asked: Request, make: Callable[[Answer | None], Answer]) -> Response:
        """Send a page whole, or only its inside to a page that is there already."""
        answer = await self._shared.get(_key(asked), make)
        if "if-none-match" not in asked.headers:
            return _response(answer)
        head = dict(answer.headers)
        if asked.headers["if-none-match"] == answer.tag:
            return Response(status_code=304, headers=head | {"etag": answer.tag})
        inside = answer.inside if answer.inside is not None else answer.body
        return _response(answer._replace(body=inside))

    def _made(self, make: MakePage, here: str) -> Callable[[Answer | None], Answer]:
        """Make a page into what is sent."""

        def whole(_before: Answer | None) -> Answer:
            page = make()
            inside = str(page.body).encode("utf-8", "backslashreplace")
            if len(inside) > PAGE_BYTES_MAX:
                raise Problem(503, "Too much for a page", "there is too much here to be shown")
            tag = f'"{sha256(inside).hexdigest()[:24]}"'
            live = shell.Live(here, tag, page.every_s) if page.every_s else None
            title = self._answers.environment().secrets.mask(page.title)
            text = shell.page(title, page.body, live=live, at=page.at, q=page.q)
            head = ((_EVERY, f"{page.every_s * 1000:.0f}"),)
            body = text.encode("utf-8", "backslashreplace")
            return Answer(200, body, headers=head, tag=tag, inside=inside)

        return lambda before: self._caught(lambda: whole(before))

    def _caught(self, make: Callable[[], Answer]) -> Answer:
        """Make an answer; what keeps it from being made is one, too."""
        mask = Secrets(self._answers.paths.home, self._answers.environ).mask
        try:
            return make()
        except Problem as problem:
            words = (problem.title, problem.message, problem.hint)
            status, (title, message, hint) = problem.status, map(mask, words)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the server
            self._complain(mask(traceback.format_exc()))
            status, title = 500, "This page failed"
            message = f"the program failed: {type(error).__name__}"
            hint = "this is a fault of the program: please report it with what `serve` has printed"
        text = shell.page(title, search_page.problem(title, message, hint))
        return Answer(status, text.encode("utf-8", "backslashreplace"))


def _response(answer: Answer) -> Response:
    head = dict(answer.headers) | ({"etag": answer.tag} if answer.tag else {})
    return Response(answer.body, answer.status, head, answer.kind)


def _run_of(asked: Request) -> int:
    """Give the number of a run asked for, such as a store can look for."""
    return min(int(asked.path_params["run"]), _RUN_MAX)


def _here(asked: Request) -> str:
    """Give the address asked for, as it was written."""
    path = asked.scope["raw_path"].decode("latin-1")
    query = asked.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def _key(asked: Request) -> str:
    """Give what tells pages apart: no query that no page knows."""
    known = sorted((key, value) for key, value in asked.query_params.items() if key in _KNOWN)
    return json.dumps([asked.url.path, known])


def _asset(text: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    answer = Answer(200, text.encode(), kind, (FOREVER,))

    async def send(_asked: Request) -> Response:
        return _response(answer)

    return send
