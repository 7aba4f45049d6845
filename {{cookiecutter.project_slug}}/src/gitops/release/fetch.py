"""Bring a release here: the files of its commit, and the model file that the commit's dvc.lock names."""

import json
import tarfile
from configparser import ConfigParser
from pathlib import Path
from tempfile import TemporaryDirectory

from gitops import store, tags
from gitops.environments import branches, deployed, trust
from gitops.git import git, show
from gitops.project import Project, load, locked, md5
from gitops.release import assets
from gitops.release.bento import take_out
from gitops.release_file import FORMAT
from gitops.shell import CommandError, attempt, dvc, say, without_secrets


def fetch_release(named: str, out: Path, folder: Path | None = None) -> int:
    """Write a release's commit, its model file and `release.json`, which says what it is, into the folder `out`.

    What a tag or an environment says is checked as for a promotion. The code, the schema and the settings are Git's of
    that commit; the model file must have the MD5 that its dvc.lock names, wherever it came from.

    Args:
        named: a version, or an environment.
        out: a folder that does not exist, or is empty; it appears whole or not at all.
        folder: take the model file from the Bento in here, instead of from the data remote or the GitHub release.

    Raises:
        CommandError: there is no such release, it may not run, or its model file can't be had or is another one.
    """
    project = load()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CommandError(f"{out} is there already: name a folder that does not exist")
    tags.fetch()
    branches.fetch()
    release = _release(project, named)
    say(f"› bringing {release.tag} (commit {release.commit[:9]})")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        tree = Path(temporary, "release")
        _unpack(release, tree)
        _bring_model(load(tree), release, tree, folder)
        content = {"format": FORMAT} | tags.facts(project, release)
        (tree / "release.json").write_text(json.dumps(content, indent=2) + "\n")
        tree.replace(out)
    say(f"{out}: {release.tag}, model {content['model_md5']}")
    return 0


def _release(project: Project, named: str) -> tags.Release:
    """Return the release of this version, or the one that an environment runs.

    Raises:
        CommandError: there is none, it may not run, or the environment runs something else than it names.
    """
    known = tags.known(project)
    if named in branches.ENVIRONMENTS:
        state = branches.current(named)
        if state is None:
            raise CommandError(f"{named} runs nothing yet: name a version, or promote one to it")
        if wrong := deployed.contradictions(named, state, known):
            raise CommandError(
                f"what {named} runs is not the release that it names: {wrong[0]}. `uv run gitops status` says more"
            )
        named = state.version
    release = tags.find(project, named)
    trust.check(release, known)
    return release


def _unpack(release: tags.Release, tree: Path) -> None:
    with TemporaryDirectory() as folder:
        archive = Path(folder, "tree.tar")
        git("archive", "--format=tar", f"--output={archive}", "--end-of-options", release.commit)
        with tarfile.open(archive) as packed:
            packed.extractall(tree, filter="data")


def _bring_model(project: Project, release: tags.Release, tree: Path, folder: Path | None) -> None:
    """Put the model file into the release's tree, from what is at hand here, the release's files, or the data remote.

    Raises:
        CommandError: it is nowhere, or what is there is another one.
    """
    digest, target = locked(show(release.commit, "dvc.lock")).get(project.model, ""), tree / project.model
    if not digest:
        raise CommandError(f"the dvc.lock of {release.tag} names no {project.model}, so there is no model to bring")
    if folder is None and store.copy(digest, target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary:
        if found := assets.find(release, folder, Path(temporary)):
            _from_bento(project, release, found, target, digest)
            return
    _configure_dvc(tree)
    done = attempt(*dvc("pull", project.model), cwd=tree, env=without_secrets(bucket=True))
    if done.returncode or not target.is_file() or md5(target) != digest:
        raise CommandError(
            f"the model of {release.tag} is neither in the data remote nor in a release's files: `uv run gitops store "
            "pull` brings the Git store; with GITHUB_TOKEN and GITHUB_REPOSITORY set, it is taken from GitHub's release"
        )


def _configure_dvc(tree: Path) -> None:
    """Let DVC work in a folder that is no repository, with this clone's cache, data remote and own settings."""
    config = ConfigParser(interpolation=None)
    config.read(".dvc/config.local")
    config.read_dict({"core": {"no_scm": "true"}, "cache": {"dir": str(Path(".dvc/cache").resolve())}})
    if store.is_git():
        config.read_dict({"'remote \"store\"'": {"url": str(store.MOUNT.resolve())}})
    with (tree / ".dvc/config.local").open("w") as file:
        config.write(file)


def _from_bento(project: Project, release: tags.Release, found: Path, target: Path, digest: str) -> None:
    """Take the model file out of the release's Bento.

    Raises:
        CommandError: the files are not those that SHA256SUMS lists, or the Bento holds another model than dvc.lock.
    """
    bento = found / f"{project.name}-{release.version}.bento"
    if wrong := assets.wrong(found):
        raise CommandError(
            f"the files of {release.tag} are not what its release wrote ({'; '.join(wrong)}): find out who changed "
            f"them, and `uv run gitops verify {release.version}`"
        )
    if take_out(bento, project.model, target) is None:
        raise CommandError(
            f"{bento.name} is missing, or no Bento with {project.model}: name another folder with --from"
        )
    if md5(target) != digest:
        raise CommandError(
            f"{bento.name} holds another model than the dvc.lock of {release.commit[:9]} names ({digest}): it is "
            f"forged or damaged, and nothing is scored with it; `uv run gitops verify {release.version}` says more"
        )
