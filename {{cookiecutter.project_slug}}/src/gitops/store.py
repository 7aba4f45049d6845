"""The default data remote: DVC's content-addressed files on the orphan branch `dvc-store` of this repository.

The branch is mounted as a worktree at `.dvc/store`, where DVC sees a plain folder; further worktrees of the same clone
(`git worktree add`) link to that one mount. Files are named by their hash, so two people's pushes never disagree about
a file, and merging them is taking both.
"""

import shutil
from collections.abc import Collection
from configparser import ConfigParser
from pathlib import Path

from gitops.git import git, has_origin, paths, remote_env
from gitops.identifiers import STORED
from gitops.project import md5
from gitops.shell import CommandError, attempt, dvc, run, say, stream

BRANCH = "dvc-store"
MOUNT = Path(".dvc/store")
# A file of the branch: for each MD5 that `forget` took away how often it was taken away and made anew, so that an odd
# number says that it is gone. Numbers only grow: of two sides the larger one is the newer.
ERASED = "erased"
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
        CommandError: a file is too large for GitHub, a stored file is damaged, rows of this version of the data were
            erased, or origin can't be reached.
    """
    pull()
    _refuse_erased()
    say("› dvc push")
    if stream(*dvc("push")):
        raise CommandError("dvc push failed: its message is above")
    if not is_git():
        return
    _commit()
    _send()


def forget(digests: Collection[str]) -> None:
    """Take files out of the Git store for good: off the branch, out of its history, and out of this clone's Git.

    The branch starts anew, without its history, and lists what was taken away: whoever merges an older copy of it
    leaves those files out.

    Raises:
        CommandError: a stored file is damaged, or origin can't be reached: run again, it goes on where it was.
    """
    pull()
    _commit()
    marks = _marks("HEAD")
    new = dict.fromkeys(set(digests) - _gone(marks), 1) | dict.fromkeys(_gone(marks) & _in_history(digests), 2)
    if new:
        _start_anew(marks | {digest: marks.get(digest, 0) + more for digest, more in new.items()}, [])
    _send()
    say("› git gc, which deletes what no branch of this clone holds any more")
    for ref in (f"refs/heads/{BRANCH}", f"refs/remotes/origin/{BRANCH}", "HEAD"):  # the last one is the folder's own
        attempt("git", "reflog", "expire", "--expire=now", ref, cwd=MOUNT)
    git("gc", "--quiet", "--prune=now", cwd=_clone())


def _refuse_erased() -> None:
    """Refuse to bring back a version of the data that was erased, from a branch that still names it.

    Raises:
        CommandError: a `.dvc` file names one.
    """
    from gitops.erase import record, versions  # they need packages, and `pull` needs none

    gone = _gone(_marks("HEAD")) if is_git() else set[str]()
    gone |= record.erased_data().keys()
    for name in paths("ls-files", "*.dvc"):
        if Path(name).is_file() and gone.intersection(versions.pointed_at(Path(name).read_text(errors="replace"))):
            raise CommandError(
                f"{name} names a version of the data of which rows were erased since, and it is not kept any more: "
                "`git merge origin/main`, or take the rows out of yours with `uv run gitops erase --id …`; then "
                "`uv run dvc repro`"
            )


def _commit() -> None:
    """Commit what DVC put into the folder.

    A file that was erased and comes back was made anew, from data that no longer holds those rows: it is kept.
    """
    git("add", "--all", cwd=MOUNT)
    if new := paths("diff", "--cached", "--name-only", cwd=MOUNT):
        _check(new)
        marks = _marks("HEAD")
        if back := _gone(marks) & {name.removeprefix("files/md5/").replace("/", "") for name in new}:
            _mark(marks | {digest: marks[digest] + 1 for digest in back})
        git("commit", "--quiet", "--no-verify", "-m", f"Add {len(new)} files", cwd=MOUNT)


def _send() -> None:
    """Push the branch to origin, where there is one, merging what others pushed meanwhile."""
    if not has_origin():
        say(f"Kept on the local branch {BRANCH}: this clone has no `origin` to push to.")
        return
    for _ in range(ATTEMPTS):
        # --no-verify here and below: the project's hooks check code, and there is none on this branch
        if _tracked():
            _merge()
        spec = f"refs/heads/{BRANCH}:refs/heads/{BRANCH}"
        words = ("push", "--no-verify", *_lease(), "origin", spec)
        done = attempt("git", *words, cwd=_clone(), env=remote_env())
        if done.returncode == 0:
            say(f"The data remote is up to date: branch {BRANCH} of origin.")
            return
        if not _fetch():
            break
    said = " ".join(done.stderr.split()[-25:])
    raise CommandError(f"could not push {BRANCH} to origin ({said}); nothing is lost: run the same command again")


def _lease() -> list[str]:
    """Return the option that lets a branch which starts anew replace origin's, as long as that is the one we know."""
    tracked = _tracked()
    if not tracked or attempt("git", "merge-base", "--is-ancestor", tracked, "HEAD", cwd=MOUNT).returncode == 0:
        return []
    return [f"--force-with-lease=refs/heads/{BRANCH}:{tracked}"]


def _tracked() -> str:
    """Return origin's commit of the branch as this clone knows it; "" for none."""
    words = ("rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{BRANCH}")
    return attempt("git", *words, cwd=MOUNT).stdout.strip()


def _marks(revision: str) -> dict[str, int]:
    """Return the numbers that a commit of the branch has for the files that were erased."""
    lines = attempt("git", "show", f"{revision}:{ERASED}", cwd=MOUNT).stdout.splitlines()
    pairs = [line.partition(" ") for line in lines]
    return {name: int(number) for name, _, number in pairs if STORED.fullmatch(name) and number.isdecimal()}


def _in_history(digests: Collection[str]) -> set[str]:
    """Return those files that a commit of the branch holds: an older factory's merge brings erased ones back."""
    listed = git("rev-list", "--objects", "HEAD", cwd=MOUNT).splitlines()
    return {line.partition(" files/md5/")[2].replace("/", "") for line in listed}.intersection(digests)


def _gone(marks: dict[str, int]) -> set[str]:
    return {digest for digest, number in marks.items() if number % 2}


def _times(marks: dict[str, int]) -> dict[str, int]:
    """Return how often each file was erased."""
    return {digest: (number + 1) // 2 for digest, number in marks.items()}


def _mark(marks: dict[str, int]) -> None:
    (MOUNT / ERASED).write_text("".join(f"{digest} {number}\n" for digest, number in sorted(marks.items())))
    git("add", ERASED, cwd=MOUNT)


def _start_anew(marks: dict[str, int], parents: list[str]) -> None:
    """Commit what is in the index but the files that are gone, as a child of `parents` alone, if that is news."""
    if names := "".join(f"files/md5/{digest[:2]}/{digest[2:]}\0" for digest in sorted(_gone(marks))):
        words = ("rm", "--quiet", "--force", "--ignore-unmatch", "--pathspec-from-file=-", "--pathspec-file-nul")
        run("git", *words, cwd=MOUNT, text=names)
    _mark(marks)
    tree = git("write-tree", cwd=MOUNT)
    if "HEAD" in parents and tree == git("rev-parse", "HEAD^{tree}", cwd=MOUNT):
        return
    options = [word for parent in parents for word in ("-p", parent)]
    made = git("commit-tree", *options, "-m", f"Leave out {len(_gone(marks))} erased files", tree, cwd=MOUNT)
    git("update-ref", f"refs/heads/{BRANCH}", made, cwd=MOUNT)


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
    """Take both sides: two first pushes have no common root, hence the flag.

    Where one side erased files which the other one still has, the history of the other one is left behind with them.
    """
    there = f"refs/remotes/origin/{BRANCH}"
    ours, theirs = _marks("HEAD"), _marks(there)
    if ours != theirs:
        both = {digest: max(ours.get(digest, 0), theirs.get(digest, 0)) for digest in ours | theirs}
        sides = (("HEAD", ours), (there, theirs))
        clean = [revision for revision, marks in sides if _times(marks) == _times(both)]
        git("checkout", there, "--", ".", cwd=MOUNT)
        _start_anew(both, clean)
        return
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
