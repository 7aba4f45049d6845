"""Try an image as it will run, before it gets a version: hardened, with the held-out rows, within the budgets."""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from gitops import gates
from gitops.git import git
from gitops.project import Project, load
from gitops.release import bento, image
from gitops.release.container import Container, running
from gitops.review.claims import SCORE
from gitops.shell import Stop, say

ROWS = 100
REQUESTS = 200
BUDGETS = {"p95_ms": "p95_ms", "memory_mb": "memory_mb", "image_mb": "size_mb"}


def smoke(project: Project, reference: str, budgets: dict[str, float]) -> dict[str, float]:
    """Run an image and compare it with what was reviewed; the container is removed whatever happens.

    Args:
        project: names the held-out rows, their predictions and the contract.
        reference: `repository@sha256:...`, which is pulled, or an id that the engine holds.
        budgets: the most that `p95_ms`, `memory_mb` and `image_mb` may be; what is not named is not limited.

    Returns:
        `ready_seconds`, from the start to the first 200 of /readyz; `memory_mb` after all requests; `p95_ms` of single
        predictions, one after the other; `size_mb` of the unpacked image.

    Raises:
        Stop: it does not start, or its version, contract or scores are others than promised, or it exceeds a budget.
    """
    contract = json.loads(Path(project.contract).read_text())
    path, fields = _route(contract)
    rows, reviewed = (pd.read_parquet(name).head(ROWS) for name in (project.rows, project.predictions))
    records = json.loads(rows[[name for name in rows if name in fields]].to_json(orient="records", date_format="iso"))
    with running(reference) as service:
        say(f"› smoke test: {len(records)} held-out rows, {REQUESTS} requests")
        ready = service.wait()
        _assert_contract(contract, service.ask("GET", "/docs.json"))
        answer = service.ask("POST", path, {"records": records})
        _assert_answer(answer, service.version(), reviewed["score"].to_numpy())
        p95 = _p95(service, path, records)
        memory, size = service.memory(), service.size()
    facts = {"ready_seconds": ready, "memory_mb": memory, "p95_ms": p95, "size_mb": size}
    facts = {name: round(value, 2) for name, value in facts.items()}
    _assert_budgets(facts, budgets)
    return facts


def trial(version: str) -> int:
    """Build and try the image of what is checked out; nothing leaves this machine."""
    project = load()
    commit, identity = git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"), bento.identity(project)
    say("› building the Bento and its image")
    with TemporaryDirectory() as folder:
        built = bento.build(project, version, {"commit": commit}, Path(folder))
        made = image.build(project, built, version, commit, identity, f"localhost/{project.name}:{version}")
    facts = smoke(project, made, gates.read(Path("gates.yaml").read_text()).budgets)
    say(f"localhost/{project.name}:{version} {made} {json.dumps(facts)}")
    return 0


def _route(contract: dict[str, Any]) -> tuple[str, set[str]]:
    """Return the contract's one path, and the fields of a record."""
    [(path, methods)] = contract["paths"].items()
    types = contract["components"]["schemas"]
    query = methods["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    record = types[query]["properties"]["records"]["items"]["$ref"].rpartition("/")[2]
    return path, set(types[record]["properties"])


def _assert_contract(contract: dict[str, Any], served: dict[str, Any]) -> None:
    """What was committed is served, to the letter."""
    for part in sorted(contract.keys() | served.keys()):
        if contract.get(part) != served.get(part):
            raise Stop(f"the image serves other `{part}` than openapi.json promises: run `uv run model contract`")


def _assert_answer(answer: dict[str, Any], version: str, reviewed: Any) -> None:
    if answer["model_version"] != version:
        raise Stop(f"the image is labelled {version} and answers as {answer['model_version']}: build it again")
    scores = np.array([row["score"] for row in answer["predictions"]])
    if len(scores) != len(reviewed):
        raise Stop(f"the image answers {len(scores)} predictions to {len(reviewed)} rows")
    if (odd := ~np.isclose(scores, reviewed, rtol=0, atol=SCORE)).any():
        first = int(np.argmax(odd))
        raise Stop(
            f"the image scores {odd.sum()} of {len(scores)} held-out rows otherwise than the reviewed model, the first "
            f"{scores[first]:g} instead of {reviewed[first]:g}: it holds another model or code"
        )


def _p95(service: Container, route: str, records: list[dict[str, Any]]) -> float:
    """Return the milliseconds within which 95 of 100 requests with one record are answered."""
    seconds = []
    for i in range(REQUESTS):
        begun = time.perf_counter()
        service.ask("POST", route, {"records": [records[i % len(records)]]})
        seconds.append(time.perf_counter() - begun)
    return float(np.quantile(seconds, 0.95)) * 1e3


def _assert_budgets(facts: dict[str, float], budgets: dict[str, float]) -> None:
    for budget, fact in BUDGETS.items():
        if facts[fact] > budgets.get(budget, np.inf):
            raise Stop(f"the image exceeds the budget {budget} of gates.yaml: {facts[fact]:g} > {budgets[budget]:g}")
