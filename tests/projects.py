"""The settings and records of a generated project, for tests of functions that take them."""

from gitops.erase.record import Erasure
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


def erasure(data: str) -> Erasure:
    """Return the record of an erasure that concerns one version of the data."""
    return Erasure(
        format=1,
        state="finished",
        started="2027-05-26T10:00:00+00:00",
        finished="2027-05-26T10:00:01+00:00",
        by="Dana <dana@example.invalid>",
        reason="",
        salt="0" * 64,
        ids=(),
        rows=1,
        data=(data,),
        objects=(data,),
        releases=(),
    )
