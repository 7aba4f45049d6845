"""The links from a release's tag to what runs: what each place says against what it should say."""

import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gitops import store
from gitops.environments import branches, deployed
from gitops.environments.manifests import images
from gitops.git import git, show
from gitops.project import Project, load, locked, md5
from gitops.release import assets, sbom
from gitops.release.bento import contents, inside, take_out
from gitops.shell import CommandError, attempt
from gitops.tags import Known, Release

Inspect = Callable[[str], Mapping[str, str]]
SAME = ("tag", "version", "commit", "identity", "image")  # what the tag and release.json both say


@dataclass(frozen=True)
class Link:
    """One link of the chain: `holds` is None where it could not be checked; `words` say what was found."""

    name: str
    holds: bool | None
    words: str


def chain(project: Project, known: Known, release: Release, found: Path | None, inspect: Inspect | None) -> list[Link]:
    """Return every link; `found` is the folder with the release's files, None where they are out of reach."""
    lock = show(release.commit, "dvc.lock") or ""
    start = [_commit(release)]
    end = [_remote(project, lock), _image(release, inspect)]
    last = [*_withdrawn(known, release), *environments(project, known, release)]
    if found is None:
        nothing = "its assets are neither on GitHub (or there is no GITHUB_TOKEN here) nor in dist/: give --from FOLDER"
        return [
            *start,
            *(Link(name, None, nothing) for name in ("assets", "tag", "lock", "model", "code", "sbom")),
            *end,
            *last,
        ]
    facts = assets.facts(found)
    links = [
        _assets(found),
        _tag(known, release, facts),
        *start,
        _lock(found, facts, lock),
        _model(project, release, found, facts, lock),
        _code(project, release, found),
    ]
    return [*links, *end, _sbom(project, release, found, lock), *last]


def _compared(name: str, pairs: Mapping[str, tuple[object, object]], good: str) -> Link:
    """Compare what each place should say with what it says."""
    wrong = [f"{where} is {has!r} and should be {wanted!r}" for where, (wanted, has) in pairs.items() if wanted != has]
    return Link(name, not wrong, "; ".join(wrong) or good)


def _assets(found: Path) -> Link:
    wrong = assets.wrong(found)
    return Link("assets", not wrong, "; ".join(wrong) or "each file has the checksum that SHA256SUMS gives it")


def _tag(known: Known, release: Release, facts: dict[str, Any]) -> Link:
    fault = known.faults.get(release.tag, "")
    if fault and "on origin's main" not in fault:  # which is another link's to say
        return Link("tag", False, fault)
    pairs = {f"{key} of the tag": (facts.get(key), getattr(release, key)) for key in SAME}
    return _compared("tag", pairs, f"annotated, and names what release.json names: {release.commit[:9]}")


def _commit(release: Release) -> Link:
    if git("rev-parse", "--is-shallow-repository") == "true":
        return Link("commit", None, "this clone is shallow: `git fetch --unshallow` brings the history")
    for main in ("origin/main", "main"):
        if attempt("git", "rev-parse", "--verify", "--quiet", main).returncode == 0:
            done = attempt("git", "merge-base", "--is-ancestor", release.commit, main)
            words = f"{release.commit[:9]} is {'' if done.returncode == 0 else 'not '}on {main}"
            return Link("commit", done.returncode == 0, words)
    return Link("commit", None, "this clone has no branch main")


def _lock(found: Path, facts: dict[str, Any], lock: str) -> Link:
    digest = assets.sha256(lock.encode())
    pairs = {
        "lock_sha256 of release.json": (digest, facts.get("lock_sha256")),
        "the asset dvc.lock": (digest, assets.digest(found / "dvc.lock")),
    }
    return _compared("lock", pairs, "release.json and the asset are the commit's dvc.lock")


def _model(project: Project, release: Release, found: Path, facts: dict[str, Any], lock: str) -> Link:
    wanted = locked(lock).get(project.model)
    bento = found / f"{project.name}-{release.version}.bento"
    with TemporaryDirectory() as folder:
        packed = take_out(bento, project.model, Path(folder, "model"))
        pairs = {
            "model_md5 of release.json": (wanted, facts.get("model_md5")),
            f"the model in {bento.name}": (wanted, md5(packed) if packed else None),
        }
    return _compared("model", pairs, f"the Bento holds the model that dvc.lock names: {wanted}")


def _code(project: Project, release: Release, found: Path) -> Link:
    """Compare the Bento's files, apart from those that DVC keeps, with those that the release's commit names."""
    bento = found / f"{project.name}-{release.version}.bento"
    with TemporaryDirectory() as folder:
        tree, packed = Path(folder, "tree"), Path(folder, "bento")
        git("archive", f"--output={folder}/tree.tar", release.commit)
        try:
            for archive, target in ((Path(folder, "tree.tar"), tree), (bento, packed)):
                with tarfile.open(archive) as content:
                    content.extractall(target, filter="data")
            names = contents(load(tree), tree)
        except (OSError, tarfile.TarError):
            return Link("code", False, f"{bento.name} is missing, or no Bento")
        except CommandError as error:
            return Link("code", None, f"the commit does not say what a release holds: {error}")
        kept = set(locked(show(release.commit, "dvc.lock")))
        source = packed / "src"
        here = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
        odd = sorted(here ^ {*map(inside, names), "bentofile.yaml"})  # BentoML adds its recipe
        wrong = [f"{name} is {'not in the commit' if name in here else 'missing'}" for name in odd]
        same = [name for name in names if name not in kept and inside(name) in here]
        wrong += [f"{name} is not the commit's" for name in same if md5(tree / name) != md5(source / inside(name))]
    return Link("code", not wrong, "; ".join(wrong) or f"the Bento holds the {len(names)} files that the commit names")


def _remote(project: Project, lock: str) -> Link:
    wanted = locked(lock).get(project.model, "")
    if not store.is_git():
        return Link("data remote", None, "it is a bucket; `uv run dvc fetch` compares what it holds with dvc.lock")
    store.pull()
    kept = store.MOUNT / "files/md5" / wanted[:2] / wanted[2:]
    pairs = {"the model in the data remote": (wanted, md5(kept) if kept.is_file() else None)}
    return _compared("data remote", pairs, "it holds the model that dvc.lock names")


def _image(release: Release, inspect: Inspect | None) -> Link:
    if not release.image:
        return Link("image", None, "the release made none")
    if inspect is None:
        return Link("image", None, "there is no registry here to ask")
    try:
        found = inspect(release.image)
    except CommandError as error:
        return Link("image", None, str(error))
    wanted = {"digest": release.image.partition("@")[2], "revision": release.commit, "identity": release.identity}
    pairs = {f"{key} of the image": (value, found.get(key)) for key, value in wanted.items()}
    return _compared("image", pairs, f"the registry holds {release.image}")


def _sbom(project: Project, release: Release, found: Path, lock: str) -> Link:
    try:
        named = sbom.read((found / sbom.NAME).read_text())
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return Link("sbom", False, f"{sbom.NAME} is missing, or not one of ours")
    wanted = {"version": release.version, "image": release.image, "model": locked(lock).get(project.model)}
    pairs = {f"{key} in {sbom.NAME}": (value, named[key]) for key, value in wanted.items()}
    return _compared("sbom", pairs, "it names this image and this model")


def _withdrawn(known: Known, release: Release) -> list[Link]:
    gone = known.withdrawn.get(release.version)
    return [Link("withdrawn", False, f"{release.version} was {gone.words()}")] if gone else []


def environments(project: Project, known: Known, release: Release | None) -> list[Link]:
    """Return what each environment really holds, where that is this release by name or by image; of None: everywhere.

    A branch whose release.json can't be read could be any release's, so it is always there.
    """
    links = []
    for name in branches.ENVIRONMENTS:
        now = branches.current(name)
        if now and (release is None or not now.release or now.version == release.version or _runs(now, release)):
            found = deployed.inspect(project, name, now, known)
            words = "; ".join(found.problems) + "".join(f"\n    {line}" for line in found.lines)
            good = f"runs {now.version}, as it was released, with the settings of {now.settings[:9]}"
            if found.problems:
                links.append(Link(f"env/{name}", False, words))
            else:
                links.append(Link(f"env/{name}", None if found.unchecked else True, found.unchecked or good))
    return links


def _runs(now: branches.State, release: Release) -> bool:
    try:
        return bool(release.image) and release.image in images(now.file("manifests.yaml"))
    except CommandError:
        return False
