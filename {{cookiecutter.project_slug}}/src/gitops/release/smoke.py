"""Try an image as it will run, before it gets a version: hardened, with the held-out rows, within the budgets."""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from gitops import description, gates
from gitops.description import Description, Service
from gitops.git import git
from gitops.project import Project, load
from gitops.release import bento, image, sample
from gitops.release.container import Container, running
from gitops.shell import CommandError, say

REQUESTS = 200
BUDGETS = {"p95_ms": "p95_ms", "memory_mb": "memory_mb", "image_mb": "size_mb"}


def smoke(project: Project, reference: str, budgets: dict[str, float]) -> dict[str, float]:
    """Run an image and compare it with what was reviewed; the container is removed whatever happens.

    Args:
        project: names the held-out rows, their predictions, the description and the contract.
        reference: `repository@sha256:...`, which is pulled, or an id that the engine holds.
        budgets: the most that `p95_ms`, `memory_mb` and `image_mb` may be; what is not named is not limited.

    Returns:
        `ready_seconds`, from the start to the first 200 of /readyz; `memory_mb` after all requests; `p95_ms` of single
        predictions, one after the other; `size_mb` of the unpacked image.

    Raises:
        CommandError: it does not start, or its version, contract or scores are others than promised, or it exceeds a
            budget.
    """
    model = description.load(project)
    contract, records = promised(project, model), sample.records(project, model)
    with running(reference) as service:
        say(f"› smoke test: {len(records)} held-out rows, {REQUESTS} requests")
        ready = service.wait()
        _assert_contract(project, contract, service.ask("GET", "/docs.json"))
        answer = service.ask("POST", model.service.path, {model.service.records: records})
        _assert_answer(project, model.service, answer, service.version())
        p95 = _p95(service, model.service, records)
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


def promised(project: Project, model: Description) -> dict[str, Any]:
    """Return the contract with the callers, an OpenAPI document.

    Raises:
        CommandError: it is missing, is no such document, or has another path than the description.
    """
    try:
        contract: dict[str, Any] = json.loads(Path(project.contract).read_text())
        paths = list(contract["paths"])
    except (OSError, ValueError, KeyError, TypeError):
        raise CommandError(f"{project.contract} is missing or no OpenAPI document, and callers rely on it") from None
    if model.service.path not in paths:
        at = f"{project.description} says that the service answers at {model.service.path}"
        raise CommandError(f"{at}, and {project.contract} has no such path: both must agree")
    return contract


def _assert_contract(project: Project, contract: dict[str, Any], served: dict[str, Any]) -> None:
    """What was committed is served, to the letter."""
    for part in sorted(contract.keys() | served.keys()):
        if contract.get(part) != served.get(part):
            raise CommandError(
                f"the image serves other `{part}` than {project.contract} promises: write that file anew"
            )


def _assert_answer(project: Project, names: Service, answer: dict[str, Any], version: str) -> None:
    try:
        told, scores = answer[names.version], [row[names.score] for row in answer[names.predictions]]
    except (KeyError, TypeError):
        raise CommandError(
            f"the image's answer has not the names that {project.description} gives under `service`"
        ) from None
    if told != version:
        raise CommandError(f"the image is labelled {version} and answers as {told}: build it again")
    if wrong := sample.differences(project, "the image", scores):
        raise CommandError(f"{wrong}: it holds another model or code")


def _p95(service: Container, names: Service, records: list[dict[str, Any]]) -> float:
    """Return the milliseconds within which 95 of 100 requests with one record are answered."""
    seconds = []
    for i in range(REQUESTS):
        begun = time.perf_counter()
        service.ask("POST", names.path, {names.records: [records[i % len(records)]]})
        seconds.append(time.perf_counter() - begun)
    return float(np.quantile(seconds, 0.95)) * 1e3


def _assert_budgets(facts: dict[str, float], budgets: dict[str, float]) -> None:
    for budget, fact in BUDGETS.items():
        if facts[fact] > budgets.get(budget, np.inf):
            raise CommandError(
                f"the image exceeds the budget {budget} of gates.yaml: {facts[fact]:g} > {budgets[budget]:g}"
            )
