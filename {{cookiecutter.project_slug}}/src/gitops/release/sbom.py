"""What a release is made of, as CycloneDX 1.5: the image or Bento, the model, its data, and each locked package.

The same release gives the same bytes: no serial number, and the commit's time as the document's.
"""

import hashlib
import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from gitops import description
from gitops.git import git
from gitops.project import Project, locked
from gitops.release.bento import EXPORT
from gitops.review.state import flatten, read_metrics
from gitops.shell import CommandError, attempt, run, say
from gitops.tags import Release

NAME = "sbom.cdx.json"
IMAGE_NAME = "image.cdx.json"

Component = dict[str, Any]


def sbom(project: Project, release: Release) -> str:
    """Return the bill of materials of a release as JSON; the working tree is the release's, with the model in it.

    The root is the image by its digest, or the Bento where there is no image. The operating system's packages, which
    the base image brings, are not in it: see `image_sbom`.

    Raises:
        CommandError: uv.lock does not fit pyproject.toml, or a file is missing or none of ours.
    """
    exported = json.loads(run(*EXPORT, "--format", "cyclonedx1.5"))
    root, model, data = _root(project, release), _model(project, release), _data(project)
    packages = sorted(exported["components"], key=lambda part: str(part["bom-ref"]))
    needs = {entry["ref"]: sorted(entry.get("dependsOn", [])) for entry in exported["dependencies"]}
    first = sorted(needs.keys() - {ref for refs in needs.values() for ref in refs})  # uv leaves out what a group names
    needs |= {root["bom-ref"]: [model["bom-ref"], *first], model["bom-ref"]: [data["bom-ref"]]}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": _commit_time(release), "component": root},
        "components": [model, data, *packages],
        "dependencies": [{"ref": ref, "dependsOn": refs} for ref, refs in sorted(needs.items())],
    }
    return json.dumps(document, indent=2) + "\n"


def image_sbom(image: str, out: Path) -> Path | None:
    """Let syft, where it is on PATH, list what lies in the image (`repository@sha256:...`), and return the file.

    Raises:
        CommandError: syft can't read the image.
    """
    if not shutil.which("syft"):
        say("No syft on PATH, so no list of the base image's packages; the locked packages are in " + NAME)
        return None
    target = out / IMAGE_NAME
    done = attempt("syft", f"registry:{image}", "--quiet", "--output", f"cyclonedx-json={target}")
    if done.returncode:
        raise CommandError(f"syft can't list what lies in {image}: {' '.join(done.stderr.split())[-300:]}")
    return target


def _commit_time(release: Release) -> str:
    time = datetime.fromisoformat(git("show", "--no-patch", "--format=%cI", release.commit))
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _root(project: Project, release: Release) -> Component:
    if not release.image:
        ref = f"bento:{project.name}@{release.version}"
        return {"type": "application", "bom-ref": ref, "name": project.name, "version": release.version}
    repository, _, digest = release.image.partition("@")
    name = repository.rpartition("/")[2]
    return {
        "type": "container",
        "bom-ref": f"image:{release.image}",
        "name": project.name,
        "version": release.version,
        "purl": f"pkg:oci/{name}@{digest.replace(':', '%3A')}?repository_url={repository}",
        "hashes": [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}],
    }


def _model(project: Project, release: Release) -> Component:
    """The model with its hashes, its parameters and what it reached; MD5 is the name that dvc.lock gives it."""
    digest = hashlib.sha256(Path(project.model).read_bytes()).hexdigest()
    md5 = locked(Path("dvc.lock").read_text())[project.model]
    metrics = read_metrics(Path(project.metrics).read_text(errors="replace"))
    if metrics is None:
        raise CommandError(f"{project.metrics} is not a small JSON object of numbers: `uv run dvc repro` writes it")
    described = description.load(project)
    facts = {"kind": described.model.kind, "file_format": described.model.file_format}
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{project.name}@{release.version}",
        "name": project.name,
        "version": release.version,
        "hashes": [{"alg": "MD5", "content": md5}, {"alg": "SHA-256", "content": digest}],
        "modelCard": {
            "modelParameters": {"datasets": [{"ref": _data_ref(project)}]},
            "quantitativeAnalysis": {
                "performanceMetrics": [{"type": name, "value": f"{value:.12g}"} for name, value in metrics.items()]
            },
        },
        "properties": [
            {"name": "file", "value": project.model},
            *({"name": name, "value": value} for name, value in facts.items()),
            *({"name": f"parameter:{name}", "value": str(value)} for name, value in flatten(described.parameters)),
        ],
    }


def _data_ref(project: Project) -> str:
    return f"data:{project.data}"


def _data(project: Project) -> Component:
    pointer = yaml.safe_load(Path(f"{project.data}.dvc").read_text())["outs"][0]
    component = {"type": "data", "bom-ref": _data_ref(project), "name": project.data}
    if not re.fullmatch("[0-9a-f]{32}", str(pointer.get("md5"))):  # a folder's hash ends in .dir
        return component | {"version": str(pointer.get("md5"))}
    return component | {"version": pointer["md5"], "hashes": [{"alg": "MD5", "content": pointer["md5"]}]}


def read(text: str) -> dict[str, str]:
    """Return what one of our documents names: `version`, `image` (by digest, or "") and `model` (its MD5).

    Raises:
        ValueError, KeyError, TypeError, StopIteration: it is none of ours.
    """
    document = json.loads(text)
    root = document["metadata"]["component"]
    model = next(part for part in document["components"] if part["type"] == "machine-learning-model")
    hashes = {entry["alg"]: entry["content"] for entry in model["hashes"]}
    image = root["bom-ref"].removeprefix("image:") if root["type"] == "container" else ""
    if image and root["hashes"][0]["content"] != image.rpartition("sha256:")[2]:
        raise ValueError("the root's hash is not that of its name")
    return {"version": root["version"], "image": image, "model": hashes["MD5"]}
