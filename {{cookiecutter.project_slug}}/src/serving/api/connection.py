"""What a connection may cost: limits on top of uvicorn's HTTP protocol, which has none for heads, time and number.

uvicorn can limit an unfinished head for h11 alone; httptools, which is faster, keeps whatever comes. Each worker of
`bentoml serve` imports the service ahead of its server, so `install` puts this protocol in the place of uvicorn's own.
"""

import asyncio
from collections.abc import Mapping
from typing import cast

import httptools
from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.api.observe import REQUESTS, new_request_id, refuse

MOST_HEAD = 32_768  # bytes of a request's line and headers, and of what comes between two pieces of its body
MOST_HEADERS = 100
HEAD_SECONDS = 10.0  # from the connection, or the answer before, to the end of a request's head
MOST_CONNECTIONS = 1000  # of a worker
MOST_PIPELINED = 16  # requests that wait for the answer to an earlier one of their connection
FLUSH_SECONDS = 10.0  # for a caller to take its answer
LINGER_SECONDS = 1.0  # what a refused caller still sends is thrown away: it would not see the answer otherwise
PIECE = 16_384  # bytes that are parsed at once
SWEEP_SECONDS = 1.0


class Connections:
    """What this worker knows of its connections beyond uvicorn's own set of them."""

    def __init__(self) -> None:
        self.waiting: dict[Connection, float] = {}  # for a request's head, since when; the longest first
        self.unread: dict[Connection, float] = {}  # ended, or with an answer that its caller does not take, since when
        self.timer: asyncio.TimerHandle | None = None

    def sweep(self, every: "set[Connection]", loop: asyncio.AbstractEventLoop) -> None:
        """Look once a second at all connections, which costs less than timers for each request, and end the late."""
        now = loop.time()
        for one in [one for one, since in self.waiting.items() if now - since > HEAD_SECONDS]:
            one.end_late()
        unread = [one for one in every if one.transport.is_closing() or one.flow.write_paused]
        self.unread = {one: self.unread.get(one, now) for one in unread}
        for one, since in self.unread.items():
            if now - since > FLUSH_SECONDS:
                one.transport.abort()
        self.timer = loop.call_later(SWEEP_SECONDS, self.sweep, every, loop) if every else None


known = Connections()


class Connection(HttpToolsProtocol):
    """A connection whose requests' heads are limited in bytes, number of headers and time.

    It answers what it refuses in the form of all answers. An `Upgrade` is ignored, as HTTP allows: clients that speak
    HTTP/2 send one for `h2c` with their first request, and uvicorn would drop that request's body.
    """

    refused = False
    head_begun = False
    unparsed = 0  # bytes since the parser last found a request's beginning, the end of its head or a piece of its body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        every = cast("set[Connection]", self.connections)
        if known.timer is None:
            known.timer = self.loop.call_later(SWEEP_SECONDS, known.sweep, every, self.loop)
        if len(every) > MOST_CONNECTIONS:
            self._make_room(every)
        if not self.refused:
            known.waiting[self] = self.loop.time()

    def _make_room(self, every: "set[Connection]") -> None:
        """End the connection that has waited for the longest without a request, or refuse this one if all are busy."""
        if known.waiting:
            oldest = next(iter(known.waiting))
            del known.waiting[oldest]
            oldest.transport.close()
        else:
            self.refuse(503, "connections", "too many connections: try again after a pause", {"Retry-After": "1"})
            if len(every) > 2 * MOST_CONNECTIONS:
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        known.waiting.pop(self, None)
        known.unread.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        for start in range(0, len(data), PIECE):
            if self.refused or self.transport.is_closing():
                return
            self._parse(data[start : start + PIECE])

    def _parse(self, piece: bytes) -> None:
        self.unparsed += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._without_upgrade(piece[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.refuse(400, "broken_http", "this is no HTTP/1.1 request that can be read")
        else:
            if self.unparsed > MOST_HEAD or len(self.headers or ()) > MOST_HEADERS:
                self._refuse_head()

    def _without_upgrade(self, rest: bytes) -> None:
        """Read the request again without the headers that ask for another protocol."""
        if (method := self.scope["method"]) == "CONNECT":
            self.refuse(405, "method", "this service is no proxy", {"Allow": "GET, HEAD, POST"})
            return
        kept = [(name, value) for name, value in self.headers if name not in (b"connection", b"upgrade")]
        head = b"".join(b"%s: %s\r\n" % header for header in kept)
        self.parser = httptools.HttpRequestParser(self)
        self._parse(b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method.encode(), self.url, head, rest))

    def _should_upgrade(self) -> bool:
        return True  # so that uvicorn leaves such a request to `_without_upgrade`

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.unparsed, self.head_begun = 0, True

    def on_headers_complete(self) -> None:
        size = self.unparsed + PIECE  # of the head at most, which began in the piece ahead of those bytes
        if size > MOST_HEAD:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MOST_HEAD or len(self.headers) > MOST_HEADERS:
            self._refuse_head()
        elif len(self.pipeline) >= MOST_PIPELINED:
            self.refuse(400, "pipelined", f"more than {MOST_PIPELINED} requests at once on a connection")
        else:
            self.unparsed, self.head_begun = 0, False
            known.waiting.pop(self, None)
            super().on_headers_complete()
        if self.refused:
            raise ValueError  # which ends the parsing

    def on_body(self, body: bytes) -> None:
        self.unparsed = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:  # else another request has begun, or the connection ends
            known.waiting[self] = self.loop.time()

    def end_late(self) -> None:
        """Close a connection on which a head, or the rest of an answered request, did not come in time."""
        known.waiting.pop(self, None)
        if self.head_begun and not self.transport.is_closing():
            self.refuse(408, "too_slow", f"the headers did not arrive within {HEAD_SECONDS:g} seconds")
        else:
            self.transport.close()

    def _refuse_head(self) -> None:
        sentence = f"the request line and the headers are more than {MOST_HEAD:,} bytes or {MOST_HEADERS} headers"
        self.refuse(431, "headers", sentence)

    def refuse(self, status: int, reason: str, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer ahead of any application, throw away what still comes, and close."""
        if self.refused:
            return
        self.refused = True
        known.waiting.pop(self, None)
        answer = refuse(
            status, reason, sentence, {"Connection": "close", "X-Request-Id": new_request_id()} | dict(headers or {})
        )
        REQUESTS.labels("other", str(status)).inc()
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # an earlier request has no answer yet, and would get this one
            return
        lines = b"".join(b"%s: %s\r\n" % header for header in answer.raw_headers)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + bytes(answer.body))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)


def install() -> None:
    """Make uvicorn's servers of this process use `Connection`."""
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{Connection.__name__}"
