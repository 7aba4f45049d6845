"""The settings of a generated project, for tests of functions that take them."""

from gitops.project import Bento, Project
from harness import SLUG


def project(**names: str) -> Project:
    """Return what `[tool.gitops]` of a project says; the names that a test doesn't give are the template's."""
    usual = {
        "name": SLUG,
        "score": "python -m model.evaluate",
        "probe": "python -m serving.probe {records} {scores}",
        "rows": "build/holdout.parquet",
        "predictions": "build/predictions.parquet",
        "metrics": "metrics.json",
        "model": "build/model.bin",
        "description": "model.json",
        "data": "data/table.csv",
        "contract": "openapi.json",
    }
    return Project.model_validate({"bento": Bento(service="serving.service:Model", files=())} | usual | names)
