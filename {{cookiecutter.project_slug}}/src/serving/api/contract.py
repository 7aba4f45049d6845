"""openapi.json: what the service promises its callers, kept in Git so that a change to it is seen in review."""

import json
import re
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from serving.rows.errors import ModelError
from serving.rows.schema import Column, load_schema

PATH = Path("openapi.json")
PAGE = Path("docs/api.md")  # for the callers' developers; its one JSON block is a request that fits
REFUSALS = {
    "400": "The body or one of its fields breaks this contract",
    "401": "The key is missing or unknown",
    "408": "The body did not arrive in time",
    "413": "The body is too large",
    "415": "The body is not JSON",
}


def contract(*, check: bool) -> None:
    """Write openapi.json and the request in docs/api.md, or with `check` only compare them.

    Raises:
        ModelError: `check`, and a file is not what the service promises.
    """
    texts = {PATH: render()}
    if PAGE.exists():
        block = f"```json\n{json.dumps(example(), indent=2, ensure_ascii=False)}\n```"
        texts[PAGE] = re.sub(r"(?s)```json\n.*?\n```", lambda _: block, PAGE.read_text(encoding="utf-8"), count=1)
    for path, text in texts.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise ModelError(f"{path} is out of date: run `uv run model contract`, and commit what you want to change")
    print(f"{', '.join(map(str, texts))}: {'as the service promises' if check else 'written'}")


def example() -> dict[str, Any]:
    """Return a request that the service takes, whatever schema.yaml says."""
    schema = load_schema()
    record = {name: _value(column) for name, column in schema.columns.items()}
    return {"records": [({schema.id: "A-1"} if schema.id else {}) | record], "reasons": min(3, len(record))}


def _value(column: Column) -> Any:
    match column.type:
        case "boolean":
            return True
        case "date":
            return "2026-01-31"
        case "category":
            return column.values[-1]
    low = column.min if column.min is not None else (column.max or 20) - 20
    middle = (low + (column.max if column.max is not None else low + 20)) / 2
    return int(middle) if column.type == "integer" else float(middle)


def render() -> str:
    """Return the OpenAPI document of the one route, from the types that check the requests."""
    from serving.api.types import Error, Predictions, Query

    used = models_json_schema(
        [(Query, "validation"), (Predictions, "serialization"), (Error, "serialization")],
        ref_template="#/components/schemas/{model}",
    )[1]["$defs"]
    key = {"type": "http", "scheme": "bearer", "description": "None is needed where the service listens on loopback"}
    operation = {
        "operationId": "predict",
        "summary": "Score each record",
        "description": "A label follows from the reviewed threshold.",
        "security": [{"key": []}],
        "requestBody": {"required": True, "content": _json("Query")},
        "responses": {
            "200": {"description": "The predictions", "content": _json("Predictions")},
            **{status: {"description": text, "content": _json("Error")} for status, text in REFUSALS.items()},
        },
    }
    document = {
        "openapi": "3.1.0",  # its types are those of JSON Schema, which pydantic writes
        "info": {"title": "Model", "version": "1"},
        "paths": {"/predict": {"post": operation}},
        "components": {"schemas": used, "securitySchemes": {"key": key}},
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _json(name: str) -> dict[str, object]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
