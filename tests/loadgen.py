"""Callers of a running service: friendly ones that repeat what got no answer, slow ones, and ones that send too much.

HTTP by hand, on asyncio: a library's client takes longer for a request than the service does.
"""

import asyncio
import itertools
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

NAME = "0000000000"  # in the place of a request's own id, which is as long
AGAIN = 0.05  # seconds until a request that got no answer is sent again
PAUSE = 0.1  # seconds between two bytes of a slow client
MISUSES = ("slow", "too large", "headers", "unknown fields")
HUGE = 2_500_000  # bytes of a body; the limit is 2,000,000
HEADS = 60_000_000  # bytes of headers, without a key
UNKNOWN = 1_500_000  # bytes of fields that the schema does not know
LATE = 1.0  # seconds; a caller that waited for longer sends on from now, and leaves out what it missed


class Wire(asyncio.Protocol):
    """A connection that is kept, with one request at a time."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.lost = False

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return status and body.

        Raises:
            OSError: the connection ended before the answer did.
        """
        self.answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        if self.lost:
            raise ConnectionResetError
        self.transport.write(request)
        return await self.answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, gap, rest = self.received.partition(b"\r\n\r\n")
        if not gap:
            return
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length and len(rest) >= int(length[1]):
            self.received.clear()
            if not self.answer.done():
                self.answer.set_result((int(head[9:12]), bytes(rest)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if hasattr(self, "answer") and not self.answer.done():
            self.answer.set_exception(ConnectionResetError())


async def connect(port: int) -> Wire:
    """Open a connection to a service on this machine."""
    return (await asyncio.get_running_loop().create_connection(Wire, "127.0.0.1", port))[1]


def post(key: str, body: bytes, length: int | None = None) -> bytes:
    """Return a request's bytes; `length` announces more than there is."""
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


@dataclass
class Found:
    """What callers saw: for each answer when it came and how long it took, in seconds, and what went wrong."""

    times: list[tuple[float, float]] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)  # ids that were answered
    sent: int = 0  # ids
    retries: int = 0
    cut: int = 0  # of them after the request was sent
    wrong: list[str] = field(default_factory=list)

    def quantile(self, share: float, since: float = 0.0, until: float = float("inf")) -> float:
        """Return a quantile of the latencies of answers that came in this time, in ms."""
        ordered = sorted(took for came, took in self.times if since <= came <= until)
        return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    def gap(self) -> float:
        """Return the longest time in which nobody was answered, in seconds."""
        return max(later - earlier for (earlier, _), (later, _) in itertools.pairwise(self.times))

    def lost(self) -> int:
        """Return how many ids were not answered exactly once."""
        return self.sent - sum(count == 1 for count in self.names.values())


@dataclass(frozen=True)
class Callers:
    """Friendly callers: each waits for its answer, and sends a request again until it has one."""

    port: int
    key: str
    row: dict[str, Any]
    id: str  # the column that holds it
    clients: int = 8

    async def load(self, *, seconds: float = 1e9, requests: int | None = None, rate: float | None = None) -> Found:
        """Send requests, so many or for so long, as fast as they are answered or at so many a second in all."""
        found, names = Found(), iter(range(1, 1 + requests) if requests else itertools.count(1))
        end = time.perf_counter() + seconds
        interval = self.clients / rate if rate else 0.0
        begin = time.perf_counter()
        due = [begin + interval * i / self.clients for i in range(self.clients)]
        await asyncio.gather(*[self._one(found, names, first, end, interval) for first in due])
        return found

    async def wander(self, requests: int) -> None:
        """Ask for as many paths, none of which exists."""
        names = iter(range(requests))

        async def one() -> None:
            wire = await connect(self.port)
            for number in names:
                path = (
                    f"GET /{random.getrandbits(64):x}/{number} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}"
                )
                status, _ = await wire.ask(f"{path}\r\n\r\n".encode())
                assert status == 404, status

        await asyncio.gather(*[one() for _ in range(self.clients)])

    async def _one(self, found: Found, names: Iterator[int], due: float, end: float, interval: float) -> None:
        request = post(self.key, json.dumps({"records": [self.row | {self.id: NAME}]}).encode())
        wire: list[Wire] = []
        while (now := time.perf_counter()) < end and (number := next(names, None)) is not None:
            if now < due:
                await asyncio.sleep(due - now)
                begun = time.perf_counter()  # a timer's delay is our own
            elif interval and now < due + LATE:
                begun = due  # the answer before took too long: this request waited too
            else:
                begun = due = now
            due += interval
            name = f"{number:0{len(NAME)}}"
            found.sent += 1
            status, body = await self._until_answered(wire, request.replace(NAME.encode(), name.encode()), found)
            came = time.perf_counter()
            found.times.append((came, came - begun))
            if status == 200 and f'"id":"{name}"'.encode() in body:
                found.names[name] += 1
            else:
                found.wrong.append(f"{status} {body[:200].decode()}")

    async def _until_answered(self, wire: list[Wire], request: bytes, found: Found) -> tuple[int, bytes]:
        while True:
            try:
                if wire and wire[0].lost:  # closed while it had nothing to do
                    wire.clear()
                if not wire:
                    wire.append(await connect(self.port))
                return await wire[0].ask(request)
            except OSError:
                found.cut += len(wire)
                wire.clear()
                found.retries += 1
                await asyncio.sleep(AGAIN)


def attack(port: int, key: str, misuses: dict[str, int], seconds: float) -> dict[str, int]:
    """Misuse a service on so many connections for each of MISUSES; return how often each answer came."""
    statuses: Counter[str] = Counter()
    heads = b"GET /readyz HTTP/1.1\r\nHost: x\r\n" + b"".join(b"h%07d: v\r\n" % i for i in range(HEADS // 13))
    fields = ",".join(f'"{i:x}":1' for i in range(UNKNOWN // 9)).encode()

    async def one(work: Any) -> None:
        while True:
            try:
                wire = await connect(port)
                statuses[str((await work(wire))[0])] += 1
                wire.transport.abort()
            except OSError:
                statuses["cut off"] += 1
                await asyncio.sleep(AGAIN)

    async def slow(wire: Wire) -> tuple[int, bytes]:
        answer = asyncio.ensure_future(wire.ask(post(key, b"{", 1000)))
        while not answer.done():
            await asyncio.sleep(PAUSE)
            wire.transport.write(b" ")
        return await answer

    async def too_large(wire: Wire) -> tuple[int, bytes]:
        return await wire.ask(post(key, b"x" * HUGE))

    async def headers(wire: Wire) -> tuple[int, bytes]:
        return await wire.ask(heads)

    async def unknown_fields(wire: Wire) -> tuple[int, bytes]:
        return await wire.ask(post(key, b'{"records":[{' + fields + b"}]}"))

    async def all_of_them() -> None:
        works = dict(zip(MISUSES, (slow, too_large, headers, unknown_fields), strict=True))
        tasks = [one(works[name]) for name, count in misuses.items() for _ in range(count)]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*tasks)

    asyncio.run(all_of_them())
    return dict(statuses)
