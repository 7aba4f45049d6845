"""The default data remote: DVC's content-addressed files on the orphan branch `dvc-store` of this repository.

The branch is mounted as a worktree at `.dvc/store`, where DVC sees a plain folder; further worktrees of the same clone
(`git worktree add`) link to that one mount. Files are named by their hash, so two people's pushes never disagree about
a file, and merging them is taking both.
"""

import shutil
from configparser import ConfigParser
from pathlib import Path

from gitops.git import git, has_origin, paths, remote_env
from gitops.project import md5
from gitops.shell import CommandError, attempt, dvc, run, say, stream

BRANCH = "dvc-store"
MOUNT = Path(".dvc/store")
GITHUB_LIMIT = 100 * 2**20  # bytes; GitHub refuses a push with a larger file
ATTEMPTS = 5  # pushes that lose the race to somebody else's before we give up


def is_git() -> bool:
    """Tell whether this project's data remote is the Git store, and not a bucket.

    Read here and not asked of DVC, whose start takes a second.
    """
    config = ConfigParser(interpolation=None)
    config.read([".dvc/config", ".dvc/config.local"])  # the second one wins
    url = config.get("'remote \"store\"'", "url", fallback="")
    return Path(".dvc", url).resolve() == MOUNT.resolve()


def pull() -> None:
    """Mount the store and bring in what others pushed. Safe to repeat; works offline with what is here."""
    if not is_git():
        return
    if not (MOUNT / ".git").exists():
        _mount()
    elif _fetch():
        _merge()


def bring() -> None:
    """Bring the data, model and predictions that this commit names into the working tree, from whatever data remote.

    In a new project, whose data was never pushed, there is nothing to bring.

    Raises:
        CommandError: the data remote lacks a file, or a file here has changes that would be lost.
    """
    pull()
    if is_git() and not holds_files():
        say("The data remote is empty: `uv run dvc repro && uv run gitops store push` fills it.")
        return
    say("› dvc pull")
    if stream(*dvc("pull")):
        raise CommandError(
            "not all that this commit names is here now, the message above says what: whoever trained it has to run "
            "`uv run gitops store push`; what you changed yourself stays as it is"
        )
    say("What this commit names is here: `uv run dvc repro` has nothing to make, unless you change something.")


def holds_files() -> bool:
    """Tell whether anything was ever pushed to the Git store, as far as it is known here."""
    return any(MOUNT.glob("files/md5/*/*"))


def keeps(file: Path) -> bool:
    """Tell whether DVC keeps a file of this content, here or in the Git store."""
    return any(path.is_file() for path in _kept(md5(file)))


def copy(digest: str, target: Path) -> bool:
    """Put a stored file at `target` without DVC, whose start takes a second; False when it is not here, or damaged."""
    for path in _kept(digest):
        if path.is_file() and md5(path) == digest:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            return True
    return False


def _kept(digest: str) -> tuple[Path, ...]:
    return tuple(folder / "files/md5" / digest[:2] / digest[2:] for folder in (Path(".dvc/cache"), MOUNT))


def push() -> None:
    """Send this workspace's data, model and predictions to the remote, so that reviewers and the release find them.

    Raises:
        CommandError: a file is too large for GitHub, a stored file is damaged, or origin can't be reached.
    """
    pull()
    say("› dvc push")
    if stream(*dvc("push")):
        raise CommandError("dvc push failed: its message is above")
    if not is_git():
        return
    git("add", "--all", cwd=MOUNT)
    if new := paths("diff", "--cached", "--name-only", cwd=MOUNT):
        _check(new)
        git("commit", "--quiet", "--no-verify", "-m", f"Add {len(new)} files", cwd=MOUNT)
    if not has_origin():
        say(f"Kept on the local branch {BRANCH}: this clone has no `origin` to push to.")
        return
    for _ in range(ATTEMPTS):
        # --no-verify here and below: the project's hooks check code, and there is none on this branch
        spec = f"refs/heads/{BRANCH}:refs/heads/{BRANCH}"
        done = attempt("git", "push", "--no-verify", "origin", spec, cwd=_clone(), env=remote_env())
        if done.returncode == 0:
            say(f"The data remote is up to date: branch {BRANCH} of origin.")
            return
        if not _fetch():
            break
        _merge()
    said = " ".join(done.stderr.split()[-25:])
    raise CommandError(
        f"could not push {BRANCH} to origin ({said}); nothing is lost: run `uv run gitops store push` again"
    )


def _mount() -> None:
    """Put the branch at MOUNT, from origin, from here, or new."""
    git("worktree", "prune")
    fetched = _fetch()
    if attempt("git", "rev-parse", "--verify", "-q", f"refs/heads/{BRANCH}").returncode:
        git("branch", "--no-track", BRANCH, f"refs/remotes/origin/{BRANCH}" if fetched else _first_commit())
    aside = MOUNT.with_name("tmp") / "store-aside"
    if MOUNT.is_symlink():  # to a worktree that is gone
        MOUNT.unlink()
    elif MOUNT.exists():  # somebody ran `dvc push` before the first mount: its files are kept
        aside.parent.mkdir(exist_ok=True)
        MOUNT.rename(aside)
    if other := _mounted_elsewhere():
        MOUNT.symlink_to(other, target_is_directory=True)
    else:
        git("worktree", "add", "--quiet", "--force", str(MOUNT), BRANCH)
    if aside.exists():
        shutil.copytree(aside, MOUNT, dirs_exist_ok=True)
        shutil.rmtree(aside)
    if fetched:
        _merge()


def _mounted_elsewhere() -> Path | None:
    """Return where another worktree of this clone has the branch, since Git checks a branch out only once."""
    for entry in git("worktree", "list", "--porcelain", "-z").split("\0\0"):
        lines = entry.split("\0")
        path = Path(lines[0].removeprefix("worktree "))
        if f"branch refs/heads/{BRANCH}" in lines and _common(path) == _common(Path.cwd()):
            return path
    return None


def _common(tree: Path) -> Path:
    """Return the `.git` folder that a working tree shares; that of a copied clone still names the original's trees."""
    return (tree / git("rev-parse", "--git-common-dir", cwd=tree)).resolve()


def _first_commit() -> str:
    """Make the branch's root: one file, which tells Git to keep every byte as it is."""
    blob = run("git", "hash-object", "-w", "--stdin", text="* binary\n")
    tree = run("git", "mktree", text=f"100644 blob {blob}\t.gitattributes\n")
    return git("commit-tree", "-m", "Start the data store", tree)


def _fetch() -> bool:
    """Bring origin's branch into refs/remotes; False where there is none or it can't be reached."""
    spec = f"+refs/heads/{BRANCH}:refs/remotes/origin/{BRANCH}"
    if not has_origin():
        return False
    done = attempt("git", "fetch", "--quiet", "origin", spec, cwd=_clone(), env=remote_env())
    if done.returncode and "couldn't find remote ref" not in done.stderr:
        said = " ".join(done.stderr.split()[-25:])
        say(f"origin can't be reached ({said}): going on with what is known here of the data remote")
    return done.returncode == 0


def _clone() -> Path | None:
    """Return where to speak with origin: a workflow's second checkout is a clone of its own, a worktree is not."""
    return MOUNT if (MOUNT / ".git").is_dir() else None


def _merge() -> None:
    """Take both sides: two first pushes have no common root, hence the flag."""
    run(
        *("git", "-c", "core.hooksPath=/dev/null", "merge", "--quiet", "--no-edit", "--allow-unrelated-histories"),
        f"refs/remotes/origin/{BRANCH}",
        cwd=MOUNT,
    )


def _check(names: list[str]) -> None:
    """Refuse what would damage the store: a file that GitHub won't take, or one whose name is not its hash."""
    for name in names:
        path = MOUNT / name
        if path.stat().st_size > GITHUB_LIMIT:
            size = f"{path.stat().st_size / 2**20:.0f} MB"
            raise CommandError(f"{name} has {size} and GitHub takes 100 MB a file: use a bucket as the data remote")
        kind, _, rest = name.partition("/md5/")
        if kind == "files" and md5(path) != rest.replace("/", "").removesuffix(".dir"):
            raise CommandError(f".dvc/store/{name} is damaged (its content is not its hash): delete it and push again")
