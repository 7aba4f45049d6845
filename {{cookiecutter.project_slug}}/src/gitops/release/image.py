"""Build, push and find the container image of a release, with docker, podman or buildah, whichever is there."""

import os
import re
import shutil
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from gitops import description
from gitops.project import Project
from gitops.release import registry
from gitops.shell import CommandError, attempt

ENGINES = ("podman", "docker", "buildah")
CONTAINERFILE = Path("deploy/Containerfile")
RUNTIME = Path("deploy/runtime.py")
REVISION, IDENTITY = "org.opencontainers.image.revision", "gitops.identity"
NONE = "none"  # the value of IMAGE where releases have no image
EPOCH = "1970-01-01T00:00:00+00:00"
# What Triton reads beside an ONNX file. Without it, it takes no more than four rows at once.
TRITON = 'backend: "onnxruntime"\nmax_batch_size: 1000\n'


def engine() -> str:
    """Return the command that builds images: CONTAINER_ENGINE, else the first on PATH.

    Raises:
        CommandError: there is none, or CONTAINER_ENGINE names another program.
    """
    named = os.environ.get("CONTAINER_ENGINE", "")
    if named and named not in ENGINES:
        raise CommandError(f"CONTAINER_ENGINE is {named!r}, which is none of {', '.join(ENGINES)}: set one of these")
    for name in [named] if named else ENGINES:
        if shutil.which(name):
            return name
    missing = f"{named} is not on PATH: install {named}" if named else "no container engine is on PATH: install podman"
    raise CommandError(missing)


def repository() -> str:
    """Return where images go, like `ghcr.io/acme/churn-model`, or "" where IMAGE is `none` or not set.

    Raises:
        CommandError: IMAGE names no registry, or carries a tag.
    """
    name = _named()
    if name in ("", NONE):
        return ""
    host, _, path = name.partition("/")
    if not path or not re.search(r"[.:]|^localhost$", host):
        raise CommandError(f"IMAGE is {name!r} and names no registry: write it like ghcr.io/{name}")
    if re.search(r"[:@]", path):
        raise CommandError(f"IMAGE is {name!r}, with a tag or digest: leave that off, each release has its own")
    return name


def none_wanted() -> bool:
    """Tell whether the team said that its releases have no image; IMAGE that is not set says nothing."""
    return _named() == NONE


def login() -> None:
    """Give the engine the registry's password; without REGISTRY_USER and REGISTRY_PASSWORD it uses what it has."""
    user, password = os.environ.get("REGISTRY_USER"), os.environ.get("REGISTRY_PASSWORD")
    if user and password:
        host = repository().partition("/")[0]
        _run(
            f"{user} can't log in to {host}",
            "login",
            *_tls(host),
            "--username",
            user,
            "--password-stdin",
            host,
            text=password,
        )


def build(project: Project, bento: Path, version: str, commit: str, identity: str, tag: str) -> str:
    """Build the image of a `.bento` file and return its id; podman and buildah make the same id of the same commit.

    Args:
        project: whose name the image carries.
        bento: what `gitops.release.bento.build` made.
        version: of the release.
        commit: the release's, 40 hexadecimal digits.
        identity: what `gitops.release.bento.identity` says of its content.
        tag: a full name like `ghcr.io/acme/churn-model:1.2.0`.

    Raises:
        CommandError: the engine failed; it has said why.
    """
    labels = {
        "org.opencontainers.image.title": project.name,
        "org.opencontainers.image.version": version,
        REVISION: commit,
        IDENTITY: identity,
    }
    base = os.environ.get("BASE_IMAGE", "")
    given = {"BASE": base, "PIP_INDEX_URL": os.environ.get("PIP_INDEX_URL", "")}
    # With docker the files keep their times, so that two builds have two ids. The history names intermediate images,
    # whose ids depend on what was built before; without it podman uses no cached layer: the price of the same id.
    same = ["--timestamp", "0", "--omit-history", *_tls(base)]
    fixed = ["--build-arg", "SOURCE_DATE_EPOCH=0"] if engine() == "docker" else same
    with TemporaryDirectory() as folder:
        context, result = Path(folder, "context"), Path(folder, "id")
        arguments = {"PYTHON_VERSION": _context(project, bento, context)} | {k: v for k, v in given.items() if v}
        words = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        words += [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
        words += ["--file", str(context / CONTAINERFILE.name), "--iidfile", str(result), "--tag", tag]
        _run(f"{tag} can't be built", "build", *fixed, *words, str(context))
        return result.read_text().strip().removeprefix("sha256:")


def push(tag: str) -> str:
    """Push an image and return `repository@sha256:...`, the digest that the registry then holds.

    Raises:
        CommandError: the registry does not answer, refuses, or holds nothing afterwards.
    """
    name, label = _parts(tag)
    _run(f"{tag} can't be pushed", "push", *_tls(name), tag)
    if (held := registry.manifest(name, label)) is None:
        raise CommandError(f"{tag} was pushed and the registry does not hold it: push it again")
    return f"{name}@{held.digest}"


def inspect(image: str) -> dict[str, str]:
    """Return what the registry says of `repository@sha256:...`: `digest`, `revision` and `identity`; {} without it.

    Raises:
        CommandError: the registry does not answer, or refuses.
    """
    name, _, digest = image.partition("@")
    held = registry.manifest(name, digest)
    told = registry.labels(name, held) if held else {}
    labels = {"revision": told.get(REVISION, ""), "identity": told.get(IDENTITY, "")}
    return {"digest": held.digest} | labels if held else {}


def retag(image: str, label: str) -> None:
    """Let the tag `label` name an image that the registry holds, given as `repository@sha256:...`.

    Raises:
        CommandError: the registry does not answer, refuses, or holds no such image.
    """
    name, _, digest = image.partition("@")
    registry.tag(name, digest, label)


def _named() -> str:
    return os.environ.get("IMAGE", "").strip().lower()


def _parts(tag: str) -> tuple[str, str]:
    """Split `host:5000/name:label` into the repository and the label."""
    name, colon, label = tag.rpartition(":")
    if not colon or "/" in label or "@" in name:
        raise CommandError(f"{tag} is not a repository with a tag, like ghcr.io/acme/churn-model:1.0.0")
    return name, label


def _context(project: Project, bento: Path, context: Path) -> str:
    """Lay out what the image is made from, the same whoever built the Bento when; return its version of Python."""
    whole = context.with_name("bento")
    with tarfile.open(bento) as archive:
        archive.extractall(whole, filter="data")
    context.mkdir()
    for file in (CONTAINERFILE, RUNTIME, whole / "env/python/requirements.txt"):
        shutil.copyfile(file, context / file.name)
    shutil.copytree(whole / "src", context / "bento/src")
    recipe = yaml.safe_load((whole / "bento.yaml").read_text())
    recipe["creation_time"] = EPOCH
    (context / "bento/bento.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    _models(project, context)
    for path in (path for name in ("bento", "models") for path in (context / name, *(context / name).rglob("*"))):
        path.chmod(0o755 if path.is_dir() else 0o644)  # whatever the umask was
    return str(recipe["image"]["python_version"])


def _models(project: Project, context: Path) -> None:
    """Lay out `models/`, which KServe mounts from the image for a runtime of its own; empty where there is no ONNX."""
    target = context / "models"
    target.mkdir()
    if description.load(project).model.file_format == "onnx":
        (target / "model/1").mkdir(parents=True)
        shutil.copyfile(context / "bento/src" / project.model, target / "model/1/model.onnx")
        (target / "model/config.pbtxt").write_text(TRITON)


def _tls(reference: str) -> list[str]:
    """A registry on this machine has no certificate; docker knows that by itself."""
    return ["--tls-verify=false"] if engine() != "docker" and registry.insecure(reference) else []


def _run(sentence: str, *argv: str, text: str = "") -> None:
    """Run the engine; its last line says why it failed."""
    done = attempt(engine(), *argv, text=text)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise CommandError(f"{sentence}: {engine()} says {said.removeprefix('Error: ')!r}")
