"""model.json: what the factory needs to know of the model, whatever trained it. docs/contract.md describes its form."""

import json
from pathlib import Path
from typing import Any

from serving.model_file.opening import Model
from serving.rows.parameters import params
from serving.rows.schema import Schema

PATH = Path("model.json")
ANSWER = {
    "path": "/predict",
    "records": "records",
    "predictions": "predictions",
    "score": "score",
    "version": "model_version",
}


def describe(schema: Schema, model: Model) -> None:
    """Write model.json for an open model file, from schema.yaml and params.yaml."""
    given, target = params(), schema.target
    binary = target.task == "binary"
    described: dict[str, Any] = {
        "format": 1,
        "target": {
            "name": target.name,
            "task": target.task,
            "labels": [target.negative, target.positive] if binary else [],
        },
        "threshold": given["threshold"] if binary else None,
        "id": schema.id,
        "features": [{"name": name} | column.model_dump() for name, column in schema.columns.items()],
        "ignored": schema.ignored,
        "model": {"kind": given["model"]["kind"], "file_format": model.format, "code": model.code()},
        "parameters": _chosen(given),
        "service": ANSWER,
    }
    PATH.write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _chosen(given: dict[str, Any]) -> dict[str, Any]:
    """Return what made the model: its kind's parameters and not the others', the seed and the split."""
    model = given["model"]
    kept = {key: value for key, value in model.items() if not isinstance(value, dict) or key == model["kind"]}
    return {key: given[key] for key in ("seed", "split") if key in given} | {"model": kept}
