"""What a change of the service's contract means for its callers."""

import json
from collections.abc import Iterator
from typing import Any

from gitops.review.record import Contract
from gitops.shell import CommandError

LARGEST = ("maximum", "exclusiveMaximum", "maxItems", "maxLength")
SMALLEST = ("minimum", "exclusiveMinimum", "minItems", "minLength")


def contract_change(old: str | None, new: str | None) -> Contract:
    """Compare two OpenAPI documents, as text; None where there is none.

    Raises:
        CommandError: the new one is no OpenAPI document.
    """
    if old == new or old is None:
        return Contract("none", ())
    if new is None:
        return Contract("breaking", ("the contract is gone",))
    before, after = _document(old), _document(new)
    if after is None:
        raise CommandError(
            "the contract is not an OpenAPI document with paths and schemas: `uv run model contract` writes it"
        )
    if before is None:  # nobody can rely on such a one
        return Contract("compatible", ())
    breaks = [f"{path} is gone" for path in before["paths"] if path not in after["paths"]]
    old_parts, new_parts = _parts(before), _parts(after)
    answers = _answers(before)
    for name, schema in old_parts.items():
        if name in new_parts:
            breaks += _broken(name, schema, new_parts[name], answered=name in answers)
        else:
            breaks.append(f"{name} is gone")
    return Contract("breaking" if breaks else "compatible", tuple(breaks))


def _document(text: str) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(text)
        return (
            content
            if isinstance(content["paths"], dict) and isinstance(content["components"]["schemas"], dict)
            else None
        )
    except (ValueError, KeyError, TypeError):
        return None


def _parts(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every object schema by name: the named ones, and the bodies that routes describe in place."""
    parts = dict(document["components"]["schemas"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                parts[f"{path} request"] = content["schema"]
    return parts


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
    """Tell whether a field of a request takes all that it took; in an answer any change can surprise."""
    if answered:
        return False
    if new.get("anyOf") and _meaning(old) in map(_meaning, new["anyOf"]):
        return True  # it may now be missing, too
    before, after = _meaning(old), _meaning(new)
    limits = {key: (before.pop(key, None), after.pop(key, None)) for key in ("enum", *LARGEST, *SMALLEST)}
    return before == after and all(_looser(key, *pair) for key, pair in limits.items())


def _looser(key: str, old: Any, new: Any) -> bool:
    if new is None:
        return True
    if old is None:
        return False
    if key == "enum":
        return set(old) <= set(new)
    return bool(old <= new if key in LARGEST else old >= new)


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
