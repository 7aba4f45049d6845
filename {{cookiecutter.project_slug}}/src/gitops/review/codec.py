"""Typed records as JSON and back. Anybody may have written what is read: every form but the right one is refused.

Standard library only: the jobs that may write read reviews, and install nothing.
"""

import dataclasses
import json
import math
import types
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

TEXT_LIMIT = 2000  # characters of one text; what is longer is cut when it is written, and refused when it is read

T = TypeVar("T")


class Malformed(Exception):
    """A text is not the JSON of the record that was asked for; the message says where and why."""


def dumps(record: Any) -> str:
    """Return a record as JSON, a text longer than `TEXT_LIMIT` with an ellipsis at its end.

    Raises:
        ValueError: a number is NaN or infinite, which JSON does not have: a record says None there.
    """
    return json.dumps(_plain(record), indent=2, allow_nan=False) + "\n"


def loads(kind: type[T], text: str) -> T:
    """Read a record of this kind.

    Raises:
        Malformed: a key is missing or unknown, or a value is not what the record's field says.
    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"it is not JSON ({error})") from None
    made: T = _read(kind, content, "the file")
    return made


def _plain(value: Any) -> Any:
    """Return a value in the types that JSON has."""
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, str) and len(value) > TEXT_LIMIT:
        return f"{value[: TEXT_LIMIT - 1]}…"
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _read(kind: Any, value: Any, where: str) -> Any:
    """Return `value` as this kind of field: a record, tuple, enumeration, literal, optional or plain value."""
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, where)
    if get_origin(kind) in (Union, types.UnionType):  # only `X | None`
        (one,) = (part for part in get_args(kind) if part is not types.NoneType)
        return None if value is None else _read(one, value, where)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise Malformed(f"{where} is not a list")
        return tuple(_read(get_args(kind)[0], entry, f"{where}[{place}]") for place, entry in enumerate(value))
    if get_origin(kind) is Literal:
        return _choice(value, {choice: choice for choice in get_args(kind)}, where)
    if issubclass(kind, Enum):
        return _choice(value, {member.value: member for member in kind}, where)
    return _scalar(kind, value, where)


def _record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise Malformed(f"{where} is not an object")
    hints = _hints(kind)
    if odd := sorted(set(value) - set(hints)):
        raise Malformed(f"{where} has an unknown key {odd[0][:40]!r}")
    if lacking := [name for name in hints if name not in value]:
        raise Malformed(f"{where} has no {lacking[0]!r}")
    try:
        return kind(**{name: _read(hint, value[name], f"{where}.{name}") for name, hint in hints.items()})
    except ValueError as error:  # what a record itself can't be made of
        raise Malformed(f"{where}: {error}") from None


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _choice(value: Any, choices: dict[Any, Any], where: str) -> Any:
    if not isinstance(value, str | int) or isinstance(value, bool) or value not in choices:
        raise Malformed(f"{where} is none of {', '.join(map(str, choices))}")
    return choices[value]


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is str:
        if not isinstance(value, str) or len(value) > TEXT_LIMIT:
            raise Malformed(f"{where} is not a text of at most {TEXT_LIMIT} characters")
        return value
    if kind is bool or isinstance(value, bool):
        if kind is not bool or not isinstance(value, bool):
            raise Malformed(f"{where} is not {'true or false' if kind is bool else 'a number'}")
        return value
    if kind is int:
        if not isinstance(value, int) or abs(value) > 2**53:
            raise Malformed(f"{where} is not a whole number")
        return value
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise Malformed(f"{where} is not a number")
    return number
