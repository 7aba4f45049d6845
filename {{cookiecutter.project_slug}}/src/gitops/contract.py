"""What a change of the service's contract means for its callers."""

import json
from collections.abc import Iterator
from typing import Any


def change(old: str | None, new: str | None) -> tuple[str, list[str]]:
    """Compare two OpenAPI documents, as text.

    Returns:
        `none`, `compatible` or `breaking`, and for the last one sentence for each thing that breaks a caller.
    """
    if old == new or old is None:
        return "none", []
    if new is None:
        return "breaking", ["the contract is gone"]
    before, after = json.loads(old), json.loads(new)
    lost = [f"{path} is gone" for path in before["paths"] if path not in after["paths"]]
    schemas = after["components"]["schemas"]
    answers = set(_answers(before))
    for name, schema in before["components"]["schemas"].items():
        if name in schemas:
            lost += _broken(name, schema, schemas[name], answered=name in answers)
        else:
            lost.append(f"{name} is gone")
    return ("breaking", lost) if lost else ("compatible", [])


def _broken(name: str, old: dict[str, Any], new: dict[str, Any], *, answered: bool) -> Iterator[str]:
    """Yield what a caller of one object's old form would trip over in the new one."""
    for field, kind in old.get("properties", {}).items():
        if field not in new.get("properties", {}):
            yield f"{name}.{field} is gone"
        elif _meaning(kind) != _meaning(new["properties"][field]) and not _wider(
            kind, new["properties"][field], answered
        ):
            yield f"{name}.{field} has another type or range"
    if not answered:
        yield from (
            f"{name}.{field} is now required" for field in set(new.get("required", [])) - set(old.get("required", []))
        )


def _wider(old: dict[str, Any], new: dict[str, Any], answered: bool) -> bool:
    """Tell whether a field takes all that it took: more categories are fine in a request, not in an answer."""
    if answered or _meaning(old) | {"enum": 0} != _meaning(new) | {"enum": 0}:
        return False
    return set(old.get("enum", [])) <= set(new.get("enum", []))


def _meaning(kind: dict[str, Any]) -> dict[str, Any]:
    """Drop what only people read."""
    return {key: value for key, value in kind.items() if key not in {"title", "description", "examples", "default"}}


def _answers(document: dict[str, Any]) -> set[str]:
    """Return the names of the schemas that the service sends, directly or inside another."""
    schemas, names = document["components"]["schemas"], set[str]()
    texts = [json.dumps(operation["responses"]) for path in document["paths"].values() for operation in path.values()]
    while texts:
        text = texts.pop()
        found = {name for name in schemas if f'/{name}"' in text} - names
        texts += [json.dumps(schemas[name]) for name in found]
        names |= found
    return names
