"""The service: POST /v1/points."""

import bentoml

from scorecard import core


@bentoml.service
class Points:
    """Answers each row with a number of points, from 0 to 1."""

    @bentoml.api(route="/v1/points")
    def points(self, rows: list[dict]) -> dict:
        """Score each row."""
        return {"release": bentoml.server_context.bento_version, "answers": [{"points": x} for x in core.score(rows)]}
