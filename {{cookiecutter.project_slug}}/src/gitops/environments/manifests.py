"""What a release means for a cluster: `deploy/` of its commit, rendered by Kustomize with its image and version."""

import json
import shutil
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from gitops import tags
from gitops.git import git, show
from gitops.project import Project
from gitops.shell import CommandError, run
from gitops.tags import Release

FORMAT = 1  # of release.json
# Argo CD would take release.json for a manifest too; both engines read no more than a kustomization.yaml names.
ENTRY = "resources:\n- manifests.yaml\n"


def render(project: Project, release: Release, environment: str) -> dict[str, str]:
    """Return file name -> text of all that an environment's branch holds; the same release gives the same bytes.

    Raises:
        CommandError: the release made no image, its commit describes no such environment, or Kustomize is missing or
            fails.
    """
    if not release.image:
        raise CommandError(
            f"{release.version} was released without a container image, so there is nothing that a cluster could run"
        )
    with TemporaryDirectory() as folder:
        _unpack(release, environment, Path(folder))
        (Path(folder) / "kustomization.yaml").write_text(_kustomization(project, release, environment))
        manifests = run(*_builder(), folder) + "\n"
    facts = json.dumps({"format": FORMAT, "environment": environment} | tags.facts(project, release), indent=2) + "\n"
    return {"kustomization.yaml": ENTRY, "manifests.yaml": manifests, "release.json": facts}


def _unpack(release: Release, environment: str, folder: Path) -> None:
    """Take `deploy/` as it was released, whatever the working tree holds now."""
    overlay = f"deploy/overlays/{environment}"
    if show(release.commit, f"{overlay}/kustomization.yaml") is None:
        raise CommandError(
            f"release {release.version} has no {overlay}/kustomization.yaml: add it, and merge that as a new release"
        )
    archive = folder / "deploy.tar"
    git("archive", "--format=tar", f"--output={archive}", release.commit, "deploy")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")


def _kustomization(project: Project, release: Release, environment: str) -> str:
    """Return the layer on top of the overlay: what only the release knows."""
    repository, _, digest = release.image.partition("@")
    labels = {"app.kubernetes.io/part-of": project.name, "app.kubernetes.io/managed-by": "gitops"}
    # only where it says what runs: on every object, it would fill the diff of a promotion
    version = [
        {"op": "add", "path": f"{place}metadata/labels/app.kubernetes.io~1version", "value": release.version}
        for place in ("/", "/spec/template/")
    ]
    layer = {
        "resources": [f"deploy/overlays/{environment}"],
        "images": [{"name": "model", "newName": repository, "digest": digest}],
        "labels": [{"pairs": labels, "includeTemplates": True}],
        "patches": [{"target": {"kind": "Deployment"}, "patch": yaml.safe_dump(version)}],
    }
    return yaml.safe_dump(layer)


def _builder() -> tuple[str, ...]:
    if shutil.which("kustomize"):
        return "kustomize", "build"
    if shutil.which("kubectl"):
        return "kubectl", "kustomize"
    raise CommandError("neither `kustomize` nor `kubectl` is on PATH: install one of them, it renders deploy/")
