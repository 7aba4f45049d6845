"""POST /predict, ahead of BentoML's dispatch.

The dispatch takes as long again as all the rest, writes each bad request's values into the log with a traceback, and
has errors of its own form. What BentoML times out and documents around it stays.
"""

import asyncio
import logging
import traceback
from functools import cache, partial
from typing import Any

import anyio
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.api import contract
from serving.api.observe import exposition, refuse
from serving.api.predict import Unscorable, predictor
from serving.api.types import Query
from serving.rows.parameters import param

MOST_BYTES = int(param("service.max_bytes"))
BODY_SECONDS = 10.0  # seconds for a body to arrive
SMALL = 65_536  # bytes of a body that is quickly answered
LISTED = 20  # fields at fault in one answer

logger = logging.getLogger("bentoml.model")
# What takes long is answered in a thread, so that others need not wait; one thread, since two would share a core.
aside = anyio.CapacityLimiter(1)


class Refusal(Exception):
    """A request that gets no prediction, and its answer."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer


class Route:
    """Answers POST /predict, GET /docs.json and GET /metrics, and passes on the rest."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"], scope.get("method"), scope.get("path"):
            case "http", "POST", "/predict":
                await (await _predict(scope, receive))(scope, receive, send)
            case "http", "GET", "/docs.json":
                await Response(_document(), media_type="application/json")(scope, receive, send)
            case "http", "GET", "/metrics":
                content = await anyio.to_thread.run_sync(exposition)
                await Response(content, media_type=CONTENT_TYPE_LATEST)(scope, receive, send)
            case _:
                await self.app(scope, receive, send)


@cache
def _document() -> str:
    return contract.render()


async def _predict(scope: Scope, receive: Receive) -> Response:
    headers = dict(scope["headers"])
    try:
        if headers.get(b"content-type", b"application/json").split(b";")[0].strip().lower() != b"application/json":
            raise Refusal(refuse(415, "content_type", "send the content type application/json"))
        body = await _read(receive)
        work = partial(_answer, body)
        return work() if len(body) < SMALL else await anyio.to_thread.run_sync(work, limiter=aside)
    except Refusal as refusal:
        return refusal.answer
    except Exception as error:  # its text and its variables may hold a customer's data: only the lines are logged
        lines = "".join(traceback.format_tb(error.__traceback__))
        logger.error("a prediction failed with %s\n%s", type(error).__name__, lines)
        return JSONResponse({"error": "the service failed, and its log says where", "detail": []}, 500)


async def _read(receive: Receive) -> bytes:
    """Return the whole body.

    A body that is too large is read to its end and thrown away: a client that is still sending would not see an answer.
    """
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                size += len(message.get("body", b""))
                if size <= MOST_BYTES:
                    chunks.append(message.get("body", b""))
                else:
                    chunks.clear()
                if not message.get("more_body", False):  # nor has a disconnected client
                    break
    except TimeoutError:
        sentence = f"the body did not arrive within {BODY_SECONDS:g} seconds"
        raise Refusal(refuse(408, "too_slow", sentence, {"Connection": "close"})) from None
    if size > MOST_BYTES:
        sentence = f"the body has more than {MOST_BYTES:,} bytes: send fewer records at once"
        raise Refusal(refuse(413, "too_large", sentence))
    return b"".join(chunks)


def _answer(body: bytes) -> Response:
    try:
        answer = predictor().answer(Query.model_validate_json(body))
    except ValidationError as error:
        problems: list[Any] = error.errors(include_url=False, include_context=False, include_input=False)
    except Unscorable as error:
        problems = [{"loc": ["records", error.index], "msg": str(error), "type": "not_finite"}]
    else:
        return Response(to_json(answer), media_type="application/json")
    first, more = problems[0], len(problems) - 1
    sentence = f"{_way(first['loc'])}: {first['msg']}" + (f" (and {more:,} more)" if more else "")
    raise Refusal(refuse(400, first["type"], sentence, detail=problems[:LISTED]))


def _way(loc: tuple[str | int, ...]) -> str:
    """Return a field's path in a body, such as `records[0].age`."""
    return "body" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc) if loc else "body"
