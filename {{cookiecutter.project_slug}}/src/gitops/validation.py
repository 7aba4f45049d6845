"""Check what people and programs wrote against a pydantic model; what is wrong becomes one sentence."""

import re
from collections.abc import Iterable
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from gitops.document import clean
from gitops.shell import CommandError


class Strict(BaseModel):
    """A mapping whose keys are all known and whose values are taken as they are, never converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Checked = TypeVar("Checked", bound=BaseModel)
ORDER = ("extra_forbidden", "missing")  # a misspelt key is two errors: the odd key names the cause


def check(model: type[Checked], content: Any, file: str, *, lacking: str, json: bool = False) -> Checked:
    """Return the content as an instance of `model`.

    Args:
        model: the form that the content must have.
        content: plain values, or with `json` the text of a JSON document, in which a list may stand for a tuple.
        file: the name for the sentence.
        lacking: the sentence's end where something is missing: what to do about it.
        json: `content` is a text.

    Raises:
        CommandError: it has another form; the sentence names the file, the key and what is wrong there.
    """
    try:
        return model.model_validate_json(content) if json else model.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False)
        first = min(found, key=lambda one: ORDER.index(one["type"]) if one["type"] in ORDER else len(ORDER))
        raise CommandError(f"{file}: {_sentence(model, first, lacking)}") from None


def _sentence(model: type[BaseModel], error: ErrorDetails, lacking: str) -> str:
    way, kind, given = error["loc"], error["type"], error["input"]
    path = _path(way)
    if kind == "missing" or given is None and way:
        return f"{_path(way[:-1]) or 'the file'} lacks {clean(way[-1])}{lacking}"
    if kind == "extra_forbidden":
        return f"{_path(way[:-1]) or 'the file'} has no {clean(way[-1])!r}; it knows {_keys(model, way[:-1])}"
    if kind == "model_type":
        return f"{path or 'the file'} is not a mapping of {_keys(model, way)}"
    if kind == "value_error":
        return f"{path or 'the file'} {error['ctx']['error']}"
    if kind in ("list_type", "tuple_type", "too_short"):
        return f"{path} is no list, or an empty one: write at least one entry, as a list"
    if kind.startswith("date"):
        return f"{path} is {clean(repr(given))}, which is no day like 2027-01-31"
    if kind == "literal_error":
        return f"{path} is {clean(repr(given))}, which is none of {error['ctx']['expected']}"
    if kind == "json_invalid":
        return f"it is not JSON ({clean(error['ctx']['error'])})"
    wanted = re.sub("^(Input|String) should ", "", error["msg"])  # pydantic's own words for all the rest
    return f"{path} is {clean(repr(given))} and should {wanted}"


def _path(way: Iterable[int | str]) -> str:
    """Return a place as people write it: `features[3].type`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{clean(key)}" for key in way).removeprefix(".")


def _keys(model: type[BaseModel], way: Iterable[int | str]) -> str:
    """Return the keys that a mapping inside the model knows."""
    for key in way:
        annotation = model.model_fields[key].annotation if isinstance(key, str) and key in model.model_fields else model
        parts = [annotation, *get_args(annotation)]
        model = next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), model)
    return ", ".join(model.model_fields)
