"""The releases of this repository, as its annotated tags tell them: Git alone knows what was released and from what."""

import json
import re
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from gitops.git import has_origin, remote_env, show
from gitops.project import Project, locked
from gitops.shell import CommandError, run

VERSION = re.compile(r"\d+\.\d+\.\d+")
FIELDS = "%(refname:short)%00%(*objectname)%00%(taggerdate:iso-strict)%00%(contents)"


@dataclass(frozen=True)
class Release:
    """One release: `image` is `repository@sha256:...`, or "" for a release that made none; `date` is ISO 8601."""

    tag: str
    version: str
    commit: str
    date: str
    reason: str
    identity: str
    image: str

    @property
    def order(self) -> tuple[int, ...]:
        """Return the version as numbers, which sort."""
        return numbers(self.version)


def message(project: Project, version: str, reason: str, identity: str, image: str) -> str:
    """Return the tag's text, from which `releases` reads the facts back."""
    facts = [f"identity: {identity}", *([f"image: {image}"] if image else [])]
    return "\n".join([f"{project.name} {version}: {reason}", "", *facts])


def fetch() -> None:
    """Bring origin's tags here, where there is an origin."""
    if has_origin():
        # A workflow's clone is shallow, and needs no history: a tag's commit says all about its release. With a depth,
        # Git fails where nothing matches, hence HEAD.
        depth = ["--depth=1"] if run("git", "rev-parse", "--is-shallow-repository") == "true" else []
        refs = ("HEAD", "+refs/tags/*:refs/tags/*")
        run("git", "fetch", "--quiet", "--force", *depth, "origin", *refs, env=remote_env())


def releases(project: Project) -> list[Release]:
    """Return the releases by rising version; a lightweight tag, or one of another form, is none of ours."""
    listed = run("git", "for-each-ref", f"--format={FIELDS}%00%00", f"refs/tags/{project.name}@v*")
    entries = [entry.strip("\n").split("\0") for entry in listed.split("\0\0\n") if entry.strip()]
    found = [_release(project, *entry[:4]) for entry in entries if entry[1]]
    return sorted((release for release in found if VERSION.fullmatch(release.version)), key=lambda one: one.order)


def find(project: Project, version: str) -> Release:
    """Return one release.

    Raises:
        CommandError: there is none with this version.
    """
    known = releases(project)
    for release in known:
        if release.version == version.removeprefix("v"):
            return release
    last = f"the last one is {known[-1].version}" if known else "nothing was released yet"
    raise CommandError(f"there is no release {version!r} of {project.name}: {last}")


def facts(project: Project, release: Release) -> dict[str, Any]:
    """Return what every release.json says of a release, all of it from its tag and its commit."""
    lock = show(release.commit, "dvc.lock") or ""
    more = {"model_md5": locked(lock).get(project.model, ""), "lock_sha256": sha256(lock.encode()).hexdigest()}
    return asdict(release) | more | {"metrics": json.loads(show(release.commit, project.metrics) or "{}")}


def numbers(version: str) -> tuple[int, ...]:
    """Return `1.2.3` as (1, 2, 3)."""
    return tuple(map(int, version.split(".")))


def _release(project: Project, tag: str, commit: str, date: str, text: str) -> Release:
    facts = dict(re.findall(r"^(identity|image): (\S+)$", text, re.MULTILINE))
    version = tag.removeprefix(f"{project.name}@v")
    reason = text.partition("\n")[0].removeprefix(f"{project.name} {version}: ")
    return Release(tag, version, commit, date, reason, facts.get("identity", ""), facts.get("image", ""))
