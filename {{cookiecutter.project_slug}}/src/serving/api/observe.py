"""What operations see of the service: Prometheus metrics, and a line for each prediction."""

import asyncio
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zlib import crc32

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import to_json
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.rows.errors import ModelError
from serving.rows.parameters import PARAMS, param
from serving.rows.schema import Schema

# what an environment's settings take out of the lines, without a release; only a reviewed release puts more in
WITHOUT = {"fields": "SERVICE_LOG_WITHOUT_FIELDS", "features": "SERVICE_LOG_WITHOUT_FEATURES"}
FIELDS = ("time", "model_version", "model_md5", "request_id", "id", "score", "label")
TENTHS = tuple(i / 10 for i in range(1, 11))

# A path that is none of these counts as "other": each value of a label takes memory, and callers choose paths.
STATUS = "model.status"  # key of a request's ASGI scope: the status that it is answered with
PATHS = {"/predict", "/livez", "/readyz", "/healthz", "/metrics", "/docs.json", "/"}

REQUESTS = Counter("model_requests_total", "Requests answered", ["path", "status"])
SECONDS = Histogram("model_request_seconds", "Time from a request's head to its answer", ["path"])
RECORDS = Counter("model_records_total", "Records scored")
REJECTED = Counter("model_rejected_total", "Requests refused, by the first reason", ["reason"])

REQUEST_ID: ContextVar[str] = ContextVar("REQUEST_ID", default="")  # of the request that is being answered


def new_request_id() -> str:
    """Return a name for a request whose caller gave none."""
    return f"{random.getrandbits(64):016x}"  # noqa: S311 - no secret


@cache
def score_histogram(bounds: tuple[float, ...]) -> Histogram:
    """Return the metric of the scores, with these upper bounds."""
    return Histogram("model_score", "Scores given", buckets=bounds)


def refuse(
    status: int,
    reason: str,
    sentence: str,
    headers: Mapping[str, str] | None = None,
    detail: Sequence[Mapping[str, Any]] = (),
) -> JSONResponse:
    """Count a refused request and return its answer; `detail` lists the fields at fault."""
    REJECTED.labels(reason).inc()
    return JSONResponse({"error": sentence, "detail": list(detail)}, status, headers)


def exposition() -> bytes:
    """Return all metrics as Prometheus reads them, added up over the processes of `bentoml serve`."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    every = CollectorRegistry()
    MultiProcessCollector(every)  # type: ignore[no-untyped-call]
    return generate_latest(every)


counted = cache(REQUESTS.labels)  # which takes a lock and makes texts, for each request
timed = cache(SECONDS.labels)


class Meter:
    """Counts requests and their time, whatever answers them, by the status that `Answers` notes in the scope."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"] if scope["path"] in PATHS else "other"
        begun = time.perf_counter()
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            scope[STATUS] = 504  # which BentoML answers when it gives a request up
            raise
        finally:
            counted(path, str(scope.get(STATUS, 500))).inc()
            timed(path).observe(time.perf_counter() - begun)


class LogSettings(BaseModel, extra="forbid", strict=True):
    """`service.log` of params.yaml: what a prediction's line holds, and for which share of the records there is one."""

    fields: list[str]
    features: list[str]
    sample: float = Field(ge=0, le=1)


class PredictionLog:
    """Writes JSON lines to stdout, of the listed fields only: the input of a drift monitor."""

    def __init__(self, schema: Schema) -> None:
        try:
            self.settings = LogSettings.model_validate(param("service.log"))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, ("service", "log", *first["loc"])))
            raise ModelError(f"{PARAMS}: {where}: {first['msg']}") from None
        for name in self.settings.fields:
            if name not in FIELDS:
                raise ModelError(f"{PARAMS}: service.log.fields: {name!r} is none of {', '.join(FIELDS)}")
        for name in self.settings.features:
            if name not in schema.columns:
                raise ModelError(f"{PARAMS}: service.log.features: schema.yaml has no column {name!r}")
        for part, variable in WITHOUT.items():
            named = [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]
            listed: list[str] = getattr(self.settings, part)
            if odd := [name for name in named if name not in listed]:
                raise ModelError(f"{variable} takes out {odd[0]!r}, which service.log.{part} of {PARAMS} does not list")
            setattr(self.settings, part, [name for name in listed if name not in named])
        self.has_id = bool(schema.id)
        self.places = {name: f"c{i}" for i, name in enumerate(schema.columns) if name in self.settings.features}

    def write(self, model: Mapping[str, str], records: Sequence[BaseModel], rows: Sequence[dict[str, Any]]) -> None:
        """Write the lines of one request's records and their predictions; `model` names what made them."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        always: dict[str, Any] = {"time": now, "request_id": REQUEST_ID.get(), **model}
        lines = []
        for record, row in zip(records, rows, strict=True):
            if not self.samples(row["id"]):
                continue
            known = always | row
            line = {"event": "prediction"} | {name: known[name] for name in self.settings.fields if name in known}
            if self.places:
                line["features"] = {name: getattr(record, place) for name, place in self.places.items()}
            lines.append(to_json(line).decode() + "\n")
        sys.stdout.write("".join(lines))  # whole lines at once: those of several processes don't mix
        sys.stdout.flush()

    def samples(self, row: str) -> bool:
        """Tell whether a record gets a line: always the same records, so that their lines can be joined over time."""
        share = crc32(row.encode()) / 2**32 if self.has_id else random.random()  # noqa: S311 - no secret
        return share < self.settings.sample
