"""Print what KServe's own types say against the InferenceService on stdin, a line each; runs where `kserve` is."""

import json
import re
import sys
from typing import Any

import kserve.models
import kubernetes.client.models

PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float)}


def faults(value: Any, kind: str, where: str) -> list[str]:
    """Compare a value with a type of the Python client, such as `list[V1Container]` or `dict(str, str)`."""
    if found := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [fault for i, one in enumerate(value) for fault in faults(one, found[1], f"{where}/{i}")]
    if found := re.fullmatch(r"dict\(str, ?(.+)\)|dict\[str, ?(.+)\]", kind):
        if not isinstance(value, dict):
            return [f"{where} is no mapping"]
        inner = found[1] or found[2]
        return [fault for key, one in value.items() for fault in faults(one, inner, f"{where}/{key}")]
    if kind in PLAIN:
        return [] if isinstance(value, PLAIN[kind]) else [f"{where} is no {kind}"]
    form = getattr(kserve.models, kind, None) or getattr(kubernetes.client.models, kind, None)
    if form is None:  # a quantity, a time
        return []
    names = {there: here for here, there in form.attribute_map.items()}
    unknown = [f"{where} has no {name}" for name in value if name not in names]
    known = {names[name]: one for name, one in value.items() if name in names}
    try:
        form(**known)
    except ValueError as error:
        unknown.append(f"{where}: {' '.join(str(error).split())}")
    return unknown + [
        fault for name, one in known.items() for fault in faults(one, form.openapi_types[name], f"{where}/{name}")
    ]


for line in faults(json.load(sys.stdin), "V1beta1InferenceService", ""):
    print(line)
