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
    400: "The body or one of its fields breaks this contract, or the request is no HTTP",
    401: "The key is missing or unknown",
    403: "A service without keys was asked by a name that is not this machine's",
    404: "There is nothing at this path",
    405: "The path has other methods",
    408: "The headers or the body did not arrive in time",
    413: "The body is too large",
    415: "The body is not JSON, or does not say so",
    431: "The headers are too large or too many",
    500: "The service failed",
    503: "The service is not ready, or busy with too many connections or large requests",
    504: "No answer was found in time",
}
ANY_PATH = (400, 403, 405, 408, 431, 500, 503, 504)
OPEN = ("/livez", "/readyz", "/healthz")  # to all, without a key
REQUEST_ID = {"type": "string", "pattern": "^[A-Za-z0-9._~+/=:@-]{1,128}$"}


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
    """Return the OpenAPI document as text, always the same for the same service."""
    return json.dumps(document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    """Return the OpenAPI document of all paths for callers, from the types that check the requests."""
    from serving.api.types import Error, Predictions, Query

    used = models_json_schema(
        [(Query, "validation"), (Predictions, "serialization"), (Error, "serialization")],
        ref_template="#/components/schemas/{model}",
    )[1]["$defs"]
    key = {"type": "http", "scheme": "bearer", "description": "None is needed where the service listens on loopback"}
    named = {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Comes back in the answer; one that is no such token counts as none",
        "schema": {"type": "string"},
    }
    predict = {
        "operationId": "predict",
        "summary": "Score each record",
        "description": "A label follows from the reviewed threshold.",
        "security": [{"key": []}],
        "parameters": [named],
        "requestBody": {"required": True, "content": _json("Query")},
        "responses": _answers("The predictions", _json("Predictions"), 401, 413, 415),
    }
    paths: dict[str, Any] = {"/predict": {"post": predict}}
    for path, summary, content in (
        ("/livez", "Whether the process answers", "text/plain"),
        ("/healthz", "The same as /livez", "text/plain"),
        ("/readyz", "Whether the model scores", "text/plain"),
        ("/metrics", "Metrics, as Prometheus reads them", "text/plain"),
        ("/docs.json", "This document", "application/json"),
    ):
        kind = {"type": "object"} if content == "application/json" else {"type": "string"}
        paths[path] = {
            "get": {
                "operationId": path.strip("/").replace(".", "_"),
                "summary": summary,
                "security": [] if path in OPEN else [{"key": []}],
                "responses": _answers(summary, {content: {"schema": kind}}, *(() if path in OPEN else (401,))),
            }
        }
    return {
        "openapi": "3.1.0",  # its types are those of JSON Schema, which pydantic writes
        "info": {
            "title": "Model",
            "version": "1",
            "description": f"Any other path answers 404, with the same form: {REFUSALS[404].lower()}.",
        },
        "paths": paths,
        "components": {
            "schemas": used,
            "securitySchemes": {"key": key},
            "headers": {"RequestId": {"description": "The caller's, or a new one", "schema": REQUEST_ID}},
        },
    }


def _answers(description: str, content: dict[str, object], *refusals: int) -> dict[str, Any]:
    """Return what a path may answer: its own content, and the refusals of all paths and these."""
    headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    answers: dict[str, Any] = {"200": {"description": description, "content": content, "headers": headers}}
    for status in (*ANY_PATH, *refusals):
        more: dict[str, Any] = {"Allow": {"schema": {"type": "string"}}} if status == 405 else {}
        text = {"description": REFUSALS[status], "content": _json("Error"), "headers": headers | more}
        answers[str(status)] = text
    return answers


def _json(name: str) -> dict[str, object]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
