"""openapi.json: what the service promises its callers, kept in Git so that a change to it is seen in review."""

import json
from pathlib import Path
from typing import Any

from model.schema import ModelError

PATH = Path("openapi.json")
ROUTE = "/predict"


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
    """Return the OpenAPI document of the one route and the types it uses, without BentoML's own routes and texts."""
    from model import service

    model: Any = service.Model
    spec = model.openapi_spec.asdict()
    route, schemas = spec["paths"][ROUTE], spec["components"]["schemas"]
    route["post"]["requestBody"]["content"]["application/json"]["schema"].pop(
        "root_input", None
    )  # BentoML's, not OpenAPI's
    document = {
        "openapi": spec["openapi"],
        "info": {"title": "Model", "version": "1"},
        "paths": {ROUTE: route},
        "components": {"schemas": {name: schemas[name] for name in _used(route, schemas)}},
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _used(tree: Any, schemas: dict[str, Any]) -> set[str]:
    """Return the names of the schemas that a part of the document refers to, directly or through others."""
    found, parts = set[str](), [tree]
    while parts:
        part = parts.pop()
        name = part.get("$ref", "").rpartition("/")[2] if isinstance(part, dict) else ""
        if name and name not in found:
            found.add(name)
            parts.append(schemas[name])
        parts += part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
    return found
