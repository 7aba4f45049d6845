"""What all answers have in common: an id of the request, and one form of refusals."""

import logging
import re
import traceback

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.observe import REQUEST_ID, STATUS, new_request_id, refuse

TOKEN = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")  # a caller's id that may stand in a header and in a log
FAILED = "the service failed, and its log says where"
SENTENCES = {  # for the pages that BentoML answers
    404: "there is nothing at this path: GET /docs.json lists what there is",
    503: "the service is not ready: try again after a pause",
}

logger = logging.getLogger("bentoml.model")


class Answers:
    """Names each request, and answers what would have no answer of the documented form.

    The id is the caller's `X-Request-Id` if that is a token of at most 128 characters, and made here otherwise.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        identity = given if TOKEN.fullmatch(given) else new_request_id().encode()
        REQUEST_ID.set(identity.decode())

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope[STATUS] = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", identity)]
            await send(message)

        try:
            return await self.app(scope, receive, named)
        except TimeoutError:
            sentence = "no answer was found in time: send fewer records at once, or try again after a pause"
            answer = refuse(504, "timeout", sentence, {"Connection": "close"})
        except Exception as error:
            log_failure("a request", error)
            answer = refuse(500, "failure", FAILED)
        # An answer that has begun can't be taken back: uvicorn closes a connection whose answer has no end.
        return None if STATUS in scope else await answer(scope, receive, named)


def log_failure(what: str, error: Exception) -> None:
    """Log where something failed: the error's text and its variables may hold a customer's data."""
    lines = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s failed with %s, request %s\n%s", what, type(error).__name__, REQUEST_ID.get(), lines)


async def of_our_form(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let an application answer, and put a refusal of the documented form in the place of its errors."""
    status = 0

    async def good(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        if status < 400:
            await send(message)

    await app(scope, receive, good)
    if status >= 400:
        sentence = SENTENCES.get(status, FAILED if status >= 500 else "the service can't answer this request")
        await refuse(status, f"status_{status}", sentence)(scope, receive, send)
