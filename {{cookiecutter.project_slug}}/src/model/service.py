"""The released service: POST /predict with records, scored by the reviewed ONNX file. It needs no pandas."""

import gc
from typing import Annotated, Any, Literal

import bentoml
import numpy as np
from bentoml.exceptions import InvalidArgument
from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from model import score
from model.schema import load, param

SCHEMA = load()
BINARY = SCHEMA.target.task == "binary"
LABELS = (SCHEMA.target.negative, SCHEMA.target.positive)
THRESHOLD = float(param("threshold")) if BINARY else 0.0

# These types are made from schema.yaml, where no type checker can look.
Row: Any = SCHEMA.row_model()
_label: Any = {"label": (Literal.__getitem__(LABELS), ...)} if BINARY else {}
Prediction: Any = create_model("Prediction", id=(str, ...), score=(float, ...), **_label)


class Predictions(BaseModel):
    """A prediction for each record, in their order, and the release that made them."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str
    predictions: list[Prediction]


class Query(BaseModel):
    """The rows to score."""

    model_config = ConfigDict(extra="forbid")

    records: Annotated[list[Row], Field(min_length=1, max_length=param("service.max_rows"))]

    @field_validator("records")
    @classmethod
    def _distinct(cls, records: list[Any]) -> list[Any]:
        if SCHEMA.id and len({record.id for record in records}) < len(records):
            raise ValueError(f"{SCHEMA.id} is used more than once: send each record once")
        return records


class JsonOnly:
    """Refuses other bodies: BentoML would read forms too, and answer 500 where one is malformed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = dict(scope.get("headers", [])).get(b"content-type", b"application/json")
        if scope.get("method") == "POST" and not kind.lower().startswith(b"application/json"):
            refusal = JSONResponse({"error": "send the content type application/json"}, 415)
            return await refusal(scope, receive, send)
        return await self.app(scope, receive, send)


# Tracing and the access log would cost half of the throughput; errors are logged all the same.
@bentoml.service(logging={"access": {"enabled": False}}, tracing={"excluded_urls": ".*"})
class Model:
    """Holds the model file, open."""

    def __init__(self) -> None:
        self.model = score.open_model()
        version = bentoml.server_context.bento_version
        self.version = "dev" if version in (None, "", "not available") else version
        # What is loaded now stays, and requests leave little: a full collection would only make one in a hundred slow.
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 1000)

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, query: Query, /) -> Predictions:
        """Score each record; a label follows from the reviewed threshold."""
        records = query.records
        ids = [record.id if SCHEMA.id else str(i) for i, record in enumerate(records)]
        scores = score.score(self.model, score.from_records(SCHEMA, records))
        if (odd := ~np.isfinite(scores)).any():
            raise InvalidArgument(f"record {ids[int(np.argmax(odd))]} has a number that is too large to score")
        rows = [_prediction(i, value) for i, value in zip(ids, scores.tolist(), strict=True)]
        return Predictions(model_version=self.version, predictions=rows)

    def __is_ready__(self) -> bool:  # noqa: N807 - BentoML's name
        """Tell whether the model scores a row: one without any value, which suits every schema."""
        empty: dict[str, Any] = {
            "numbers": np.full((1, len(SCHEMA.numbers)), np.nan, np.float32),
            "categories": np.full((1, len(SCHEMA.categories)), "", object),
        }
        scores = score.score(self.model, {name: matrix for name, matrix in empty.items() if matrix.size})
        return bool(np.isfinite(scores).all())


Model.add_asgi_middleware(JsonOnly)  # type: ignore[attr-defined]


def _prediction(row: str, value: float) -> Any:
    return Prediction(id=row, score=value, **({"label": LABELS[value >= THRESHOLD]} if BINARY else {}))
