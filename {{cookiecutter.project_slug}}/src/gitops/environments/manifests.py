"""What a release means for a cluster: `deploy/` of a commit, rendered by Kustomize with a release's image and version.

That commit is the release's own, or a later one of main whose settings (replicas, memory, who may call) an environment
was given without another release: see `gitops.environments.apply`.
"""

import shutil
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from gitops import tags
from gitops.git import git, show
from gitops.project import Project
from gitops.release_file import FORMAT as FORMAT
from gitops.release_file import ReleaseFile
from gitops.shell import CommandError, run

# Argo CD would take release.json for a manifest too; both engines read no more than a kustomization.yaml names.
ENTRY = "resources:\n- manifests.yaml\n"
OCI = "oci+native://"  # how KServe's storageUri names an image, whose /models it mounts


def described(project: Project, release: tags.Release, environment: str, settings: str) -> ReleaseFile:
    """Return what an environment's release.json says of a release with the settings of a commit."""
    return ReleaseFile(environment=environment, settings=settings, **tags.facts(project, release))


def render(project: Project, what: ReleaseFile) -> dict[str, str]:
    """Return file name -> text of all that an environment's branch holds; the same release gives the same bytes.

    Raises:
        CommandError: the release made no image, the commit of its settings describes no such environment, or Kustomize
            is missing or fails.
    """
    if not what.image:
        raise CommandError(
            f"{what.version} was released without a container image, so there is nothing that a cluster could run"
        )
    with TemporaryDirectory() as folder:
        _unpack(what, Path(folder))
        (Path(folder) / "kustomization.yaml").write_text(_kustomization(project, what))
        manifests = run(*_builder(), folder) + "\n"
    return {"kustomization.yaml": ENTRY, "manifests.yaml": manifests, "release.json": what.text()}


def images(manifests: str) -> list[str]:
    """Return every image that rendered manifests run, whatever kind of object names it.

    Raises:
        CommandError: they are not YAML.
    """
    try:
        documents = list(yaml.safe_load_all(manifests))
    except yaml.YAMLError as error:
        raise CommandError(f"manifests.yaml is not YAML: {' '.join(str(error).split())[:200]}") from None
    return sorted(set(_images(documents)))


def _images(value: object) -> list[str]:
    if isinstance(value, dict):
        named = (value.get("image"), value.get("storageUri"))
        here = [name.removeprefix(OCI) for name in named if isinstance(name, str)]
        return here + [name for inner in value.values() for name in _images(inner)]
    return [name for inner in value for name in _images(inner)] if isinstance(value, list) else []


def _unpack(what: ReleaseFile, folder: Path) -> None:
    """Take `deploy/` as it was committed, whatever the working tree holds now."""
    overlay = f"deploy/overlays/{what.environment}"
    if show(what.settings, f"{overlay}/kustomization.yaml") is None:
        where = f"release {what.version}" if what.settings == what.commit else f"the commit {what.settings[:9]}"
        raise CommandError(f"{where} has no {overlay}/kustomization.yaml: add it, and merge that")
    archive = folder / "deploy.tar"
    git("archive", "--format=tar", f"--output={archive}", "--end-of-options", what.settings, "deploy")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")


def _kustomization(project: Project, what: ReleaseFile) -> str:
    """Return the layer on top of the overlay: what only the release knows."""
    repository, _, digest = what.image.partition("@")
    labels = {"app.kubernetes.io/part-of": project.name, "app.kubernetes.io/managed-by": "gitops"}
    # only where it says what runs: on every object, it would fill the diff of a promotion
    version = [
        {"op": "add", "path": f"{place}metadata/labels/app.kubernetes.io~1version", "value": what.version}
        for place in ("/", "/spec/template/")
    ]
    model = {"op": "replace", "path": "/spec/predictor/model/storageUri", "value": OCI + what.image}
    layer = {
        "resources": [f"deploy/overlays/{what.environment}"],
        "images": [{"name": "model", "newName": repository, "digest": digest}],
        "labels": [{"pairs": labels, "includeTemplates": True}],
        "patches": [
            {"target": {"kind": "Deployment"}, "patch": yaml.safe_dump(version)},
            {"target": {"kind": "InferenceService"}, "patch": yaml.safe_dump([version[0], model])},
        ],
    }
    return yaml.safe_dump(layer)


def _builder() -> tuple[str, ...]:
    if shutil.which("kustomize"):
        return "kustomize", "build"
    if shutil.which("kubectl"):
        return "kubectl", "kustomize"
    raise CommandError("neither `kustomize` nor `kubectl` is on PATH: install one of them, it renders deploy/")
