"""POST /predict, ahead of BentoML's dispatch.

The dispatch takes as long again as all the rest, writes each bad request's values into the log with a traceback, and
has errors of its own form. What BentoML times out and documents around it stays.
"""

import asyncio
from collections.abc import Container, Sequence
from functools import cache, partial
from itertools import islice
from typing import Any

import anyio
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ValidationError
from pydantic_core import from_json, to_json
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.api import contract
from serving.api.answers import FAILED, SENTENCES, log_failure, of_our_form
from serving.api.auth import ASSETS
from serving.api.observe import exposition, refuse
from serving.api.predict import Unscorable, predictor
from serving.api.types import ROW_FIELDS, Query
from serving.rows.parameters import param

MOST_BYTES = int(param("service.max_bytes"))
# Bytes of bodies and answers above SMALL that are in memory at once: a pod has some 300 MB to spare.
MOST_HELD = 50_000_000
BODY_SECONDS = 10.0  # seconds for a body to arrive
ANSWER_SECONDS = 14.0  # seconds until a request is given up; BentoML does so a second later, in a form of its own
SMALL = 65_536  # bytes of a body that is quickly answered
PIECE = 65_536  # bytes of a large answer that are sent at once
LISTED = 20  # fields at fault in one answer
# As many colons as the largest request needs. pydantic makes an error of a kilobyte for every unknown field.
MOST_FIELDS = int(param("service.max_rows")) * (len(ROW_FIELDS) + 1) + 2
READ = ("GET", "HEAD")
METHODS: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("/", "/docs.json", "/schema.json", "/metrics", "/livez", "/readyz", "/healthz"), READ
)
METHODS["/predict"] = ("POST",)

# What takes long is answered in a thread, so that others need not wait; one thread, since two would share a core.
aside = anyio.CapacityLimiter(1)


class Refusal(Exception):
    """A request that gets no prediction, and its answer."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer


class Share:
    """What one request takes of the memory for large bodies and answers, which all of a worker's requests share."""

    held = 0  # bytes, of all requests

    def __init__(self) -> None:
        self.size = 0

    def grow(self, size: int) -> bool:
        """Take so many bytes more; tell whether there are as many, or the request is small."""
        self.size += size
        Share.held += size
        return self.size <= SMALL or Share.held <= MOST_HELD

    def free(self) -> None:
        Share.held -= self.size
        self.size = 0


class LargeResponse(Response):
    """An answer that is sent in pieces, each when the one before is on its way: it is held until its caller has it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for start in range(0, len(self.body), PIECE):
            await send({"type": "http.response.body", "body": self.body[start : start + PIECE], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Route:
    """Answers POST /predict, GET /docs.json and GET /metrics, and passes on what else is there."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"]
        methods = METHODS.get(path, READ if path.startswith(ASSETS) else None)
        if methods is None:
            answer: Response = refuse(404, "path", SENTENCES[404])
        elif scope["method"] not in methods:
            allowed = ", ".join(methods)
            answer = refuse(405, "method", f"the methods of this path are {allowed}", {"Allow": allowed})
        elif path == "/predict":
            return await _predict(scope, receive, send)
        elif path == "/docs.json":
            answer = Response(_document(), media_type="application/json")
        else:
            async with asyncio.timeout(ANSWER_SECONDS):
                if path != "/metrics":
                    return await of_our_form(self.app, scope, receive, send)
                content = await anyio.to_thread.run_sync(exposition)
            answer = Response(content, media_type=CONTENT_TYPE_LATEST)
        return await answer(scope, receive, send)


@cache
def _document() -> str:
    return contract.render()


async def _predict(scope: Scope, receive: Receive, send: Send) -> None:
    share, end = Share(), asyncio.get_running_loop().time() + ANSWER_SECONDS
    try:
        answer = await _prediction(scope, receive, share, end)
        if not isinstance(answer, LargeResponse):
            return await answer(scope, receive, send)
        async with asyncio.timeout_at(end):
            return await answer(scope, receive, send)
    finally:
        share.free()


async def _prediction(scope: Scope, receive: Receive, share: Share, end: float) -> Response:
    headers = dict(scope["headers"])
    try:
        # A web page can post any other type, and none at all, to a service on its reader's machine without asking.
        if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != b"application/json":
            raise Refusal(refuse(415, "content_type", "send the content type application/json"))
        body = await _read(receive, share, int(headers.get(b"content-length", 0)))
        answer: bytes | Response
        if len(body) < SMALL:
            answer = _answer(body)
        else:
            async with asyncio.timeout_at(end):
                answer = await anyio.to_thread.run_sync(partial(_answer, body), limiter=aside)
        if isinstance(answer, Response):
            return answer
        if not share.grow(len(answer)):
            raise Refusal(_full())
        return (Response if len(answer) < SMALL else LargeResponse)(answer, media_type="application/json")
    except Refusal as refusal:
        return refusal.answer
    except TimeoutError:
        raise
    except Exception as error:
        log_failure("a prediction", error)
        return refuse(500, "failure", FAILED)


async def _read(receive: Receive, share: Share, announced: int) -> bytes:
    """Return the whole body, of which so many bytes are announced, or 0.

    A body that is too large is read to its end and thrown away: a client that is still sending would not see an answer.
    """
    chunks, size, room = [], 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                if room and max(size, announced) <= MOST_BYTES and share.grow(len(chunk)):
                    chunks.append(chunk)
                elif room:
                    room = False
                    chunks.clear()
                    share.free()
                if not message.get("more_body", False):  # nor has a disconnected client
                    break
    except TimeoutError:
        sentence = f"the body did not arrive within {BODY_SECONDS:g} seconds"
        raise Refusal(refuse(408, "too_slow", sentence, {"Connection": "close"})) from None
    if max(size, announced) > MOST_BYTES:
        sentence = f"the body has more than {MOST_BYTES:,} bytes: send fewer records at once"
        raise Refusal(refuse(413, "too_large", sentence))
    if not room:
        raise Refusal(_full())
    return b"".join(chunks)


def _full() -> Response:
    sentence = "the service is busy with other large requests: send it again after a pause, or fewer records at once"
    return refuse(503, "busy", sentence, {"Retry-After": "1"})


def _answer(body: bytes) -> bytes | Response:
    """Return the answer to a body, as JSON, or a refusal.

    It is not raised: an exception would keep all fields at fault until the next garbage collection, which is rare here.
    """
    problems: Sequence[Any]
    try:
        problems = _unknown_fields(body) if body.count(b":") > MOST_FIELDS else ()
        if not problems:
            return to_json(predictor().answer(Query.model_validate_json(body)))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
    except Unscorable as error:
        problems = [{"loc": ["records", error.index], "msg": str(error), "type": "not_finite"}]
    first, more = problems[0], len(problems) - 1
    sentence = f"{_way(first['loc'])}: {first['msg']}" + (f" (and {more:,} more)" if more else "")
    return refuse(400, first["type"], sentence, detail=problems[:LISTED])


def _unknown_fields(body: bytes) -> list[dict[str, Any]]:
    """Return the first fields that no request has; what is no JSON or has another form is left to pydantic."""
    try:
        query = from_json(body)
    except ValueError:
        return []
    if not isinstance(query, dict):
        return []
    places: list[tuple[tuple[str | int, ...], dict[str, Any], Container[str]]] = [((), query, Query.model_fields)]
    records = query.get("records")
    for i, record in enumerate(records if isinstance(records, list) else []):
        if isinstance(record, dict):
            places.append((("records", i), record, ROW_FIELDS))
    unknown = ((*way, name) for way, fields, known in places for name in fields if name not in known)
    found = islice(unknown, LISTED + 1)
    return [{"loc": way, "msg": "Extra inputs are not permitted", "type": "extra_forbidden"} for way in found]


def _way(loc: tuple[str | int, ...]) -> str:
    """Return a field's path in a body, such as `records[0].age`."""
    return "body" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc) if loc else "body"
