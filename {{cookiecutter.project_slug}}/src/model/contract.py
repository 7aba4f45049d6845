"""openapi.json: what the service promises its callers, kept in Git so that a change to it is seen in review."""

import json
from pathlib import Path

from pydantic.json_schema import models_json_schema

from model.schema import ModelError

PATH = Path("openapi.json")
REFUSALS = {
    "400": "The body or one of its fields breaks this contract",
    "401": "The key is missing or unknown",
    "408": "The body did not arrive in time",
    "413": "The body is too large",
    "415": "The body is not JSON",
}


def contract(*, check: bool) -> None:
    """Write openapi.json, or with `check` only compare it.

    Raises:
        ModelError: `check`, and the file is not what the service promises.
    """
    text = render()
    if not check:
        PATH.write_text(text, encoding="utf-8")
    elif not PATH.exists() or PATH.read_text(encoding="utf-8") != text:
        raise ModelError(f"{PATH} is out of date: run `uv run model contract`, and commit it if you want the change")
    print(f"{PATH}: {'as the service promises' if check else 'written'}")


def render() -> str:
    """Return the OpenAPI document of the one route, from the types that check the requests."""
    from model.api import Error, Predictions, Query

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
