"""The data remote on a branch: two people, one bare repository, real Git and DVC."""

import sys
from pathlib import Path

import pytest
from harness import Failed, environment, run
from people import Person, found

BRANCH = "dvc-store"


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """Return the repository that the two share."""
    return found(tmp_path)


@pytest.fixture
def people(tmp_path: Path, origin: Path) -> tuple[Person, Person]:
    """Return two people with a clone each."""
    return Person(tmp_path, origin, "ann"), Person(tmp_path, origin, "bob")


def stored(origin: Path) -> set[str]:
    """Return the files on the branch at origin."""
    names = run("git", "ls-tree", "-r", "--name-only", BRANCH, cwd=origin, env=environment(origin.parent / "home"))
    return set(names.splitlines())


def test_the_first_push_makes_the_branch_with_a_root_of_its_own(origin: Path, people: tuple[Person, Person]) -> None:
    ann, _ = people
    name = ann.add("a.csv", b"a\n")
    assert f"branch {BRANCH} of origin" in ann.gitops("store", "push")
    assert stored(origin) == {".gitattributes", name}
    assert ann.git("log", "--format=%s", BRANCH).splitlines() == ["Add 1 files", "Start the data store"]
    assert ann.git("status", "--short", "--ignored").count("store") == 1  # ignored, and not in the way


def test_two_first_pushes_are_both_kept(origin: Path, people: tuple[Person, Person]) -> None:
    names = {person.add("x.csv", content) for person, content in zip(people, (b"ann\n", b"bob\n"), strict=True)}
    for person in people:
        person.gitops("store", "pull")  # each starts a branch, knowing nothing of the other's
    for person in people:
        person.gitops("store", "push")
    assert stored(origin) == {".gitattributes", *names}


def test_a_lost_race_merges(origin: Path, people: tuple[Person, Person]) -> None:
    ann, bob = people
    names = {ann.add("a.csv", b"1\n")}
    ann.gitops("store", "push")
    bob.gitops("store", "pull")
    names |= {ann.add("b.csv", b"2\n"), bob.add("c.csv", b"3\n")}
    ann_pushes = f"cd {ann.path} && {sys.executable} -m gitops store push"
    bob.git_wrapper(f'[ "$1" = push ] && [ ! -e {bob.path}/raced ] && touch {bob.path}/raced && ({ann_pushes})')
    bob.gitops("store", "push")
    assert (bob.path / "raced").exists()
    assert stored(origin) == {".gitattributes", *names}


def test_bytes_survive_a_clone_that_converts_line_ends(origin: Path, people: tuple[Person, Person]) -> None:
    ann, bob = people
    content = b"a,b\r\n1,2\n\r\n\x00\xff"
    ann.add("a.csv", content)
    ann.git("add", "--all")
    ann.git("commit", "--quiet", "-m", "Add data")
    ann.git("push", "--quiet")
    ann.gitops("store", "push")
    bob.git("config", "core.autocrlf", "true")
    bob.git("pull", "--quiet")
    bob.gitops("store", "pull")
    bob.dvc("pull")
    assert (bob.path / "a.csv").read_bytes() == content


def test_files_of_a_dvc_push_before_the_first_mount_are_kept(origin: Path, people: tuple[Person, Person]) -> None:
    ann, _ = people
    name = ann.add("a.csv", b"a\n")
    ann.dvc("push")
    (ann.path / ".dvc/cache").rename(ann.path / "cache-gone")  # the only copy is now in the unmounted folder
    ann.gitops("store", "pull")
    assert (ann.path / ".dvc/store" / name).read_bytes() == b"a\n"
    ann.dvc("pull")
    ann.gitops("store", "push")
    assert name in stored(origin)


def test_an_unreachable_origin_loses_nothing(origin: Path, people: tuple[Person, Person]) -> None:
    ann, _ = people
    name = ann.add("a.csv", b"a\n")
    origin.rename(origin.with_name("away.git"))
    with pytest.raises(Failed, match=r"error: could not push dvc-store to origin .* nothing is lost"):
        ann.gitops("store", "push")
    origin.with_name("away.git").rename(origin)
    ann.gitops("store", "push")
    assert name in stored(origin)


def test_a_damaged_file_is_refused_by_name(origin: Path, people: tuple[Person, Person]) -> None:
    ann, _ = people
    ann.gitops("store", "push")
    name = f"files/md5/00/{'0' * 30}"
    (ann.path / ".dvc/store" / name).parent.mkdir(parents=True)
    (ann.path / ".dvc/store" / name).write_bytes(b"planted\n")
    with pytest.raises(Failed, match=rf"error: .dvc/store/{name} is damaged"):
        ann.gitops("store", "push")
    assert stored(origin) == {".gitattributes"}


def test_a_planted_file_is_not_believed(origin: Path, people: tuple[Person, Person]) -> None:
    ann, bob = people
    name = ann.add("a.csv", b"a\n")
    ann.git("add", "--all")
    ann.git("commit", "--quiet", "-m", "Add data")
    ann.git("push", "--quiet")
    ann.gitops("store", "push")
    (ann.path / ".dvc/store" / name).chmod(0o644)
    (ann.path / ".dvc/store" / name).write_bytes(b"planted\n")
    for words in (["commit", "--quiet", "--all", "-m", "Plant"], ["push", "--quiet", "origin", BRANCH]):
        run("git", *words, cwd=ann.path / ".dvc/store", env=ann.env)
    bob.git("pull", "--quiet")
    with pytest.raises(Failed, match="not all that this commit names is here"):
        bob.gitops("store", "pull")
    assert not (bob.path / "a.csv").exists()
