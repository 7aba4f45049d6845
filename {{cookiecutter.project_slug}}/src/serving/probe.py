"""Score a few rows where the service will run: `python -m serving.probe RECORDS SCORES`.

The factory runs it in an environment of exactly the `serve` group, with exactly a release's files, before it releases
them: what is missing there is found before callers find it. RECORDS is a JSON list of records as callers send them,
SCORES where to write the JSON list of their scores.
"""

import json
import sys
from pathlib import Path
from typing import Any

from serving.rows.errors import ModelError, run_stage


def probe(records: Path, scores: Path) -> None:
    """Score the records of a file through the service's own types and model file.

    Raises:
        ModelError: the service can't be imported here, the model file can't be opened, or a record breaks the contract.
    """
    try:
        import serving.service  # noqa: F401 - with all that it imports
    except ImportError as error:
        raise ModelError(f"the service can't start without {error.name}: add it to the `serve` group") from None
    from pydantic import ValidationError

    from serving.api.predict import predictor
    from serving.api.types import Query

    rows: list[dict[str, Any]] = json.loads(records.read_text(encoding="utf-8"))
    try:
        query = Query.model_validate_json(json.dumps({"records": rows}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ModelError(f"the service refuses the row at {first['loc']}: {first['msg']}") from None
    found = predictor().answer(query)["predictions"]
    scores.write_text(json.dumps([row["score"] for row in found]), encoding="utf-8")


if __name__ == "__main__":
    run_stage(lambda: probe(Path(sys.argv[1]), Path(sys.argv[2])))
