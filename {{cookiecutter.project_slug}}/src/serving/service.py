"""The released service: POST /predict with records, scored by the reviewed model file. It needs no pandas.

A request passes `connection` (limits of its head), `answers` (its id, the form of refusals), `observe` (counts), `auth`
(may this caller?), `route` (body, checks), `predict` (scores), `reasons`.
"""

import gc

import bentoml

from serving.api import connection
from serving.api.answers import Answers
from serving.api.auth import Guard
from serving.api.observe import Meter
from serving.api.predict import predictor
from serving.api.route import Route
from serving.api.types import Predictions, Query


# Tracing and the access log would cost half of the throughput; errors are logged all the same. BentoML's own metrics
# keep numbers for every path that anybody ever asked for, until the memory is full: `observe` counts instead. And a
# kilobyte of each request stays until its timeout, answered or not: 160 MB at full load with the usual minute.
@bentoml.service(
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
    metrics={"enabled": False},
    traffic={"timeout": 15},  # seconds; `route` gives up after 14, of which it waits 10 for the body
)
class Model:
    """Opens the model file before the first request."""

    def __init__(self) -> None:
        self.predictor = predictor()
        # What is loaded now stays, and requests leave little: a full collection would only make one in a hundred slow.
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 1000)

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, query: Query, /) -> Predictions:
        """Score each record; a label follows from the reviewed threshold."""
        return Predictions.model_validate(self.predictor.answer(query))

    def __is_ready__(self) -> bool:  # noqa: N807 - BentoML's name
        """Tell whether the model scores."""
        return self.predictor.ready()


connection.install()
Model.add_asgi_middleware(Answers)  # type: ignore[attr-defined]
Model.add_asgi_middleware(Meter)  # type: ignore[attr-defined]
Model.add_asgi_middleware(Guard)  # type: ignore[attr-defined]
Model.add_asgi_middleware(Route)  # type: ignore[attr-defined]
