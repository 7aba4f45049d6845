"""The releases of this repository, as its annotated tags tell them: Git alone knows what was released and from what.

Who may push to the repository may push a tag, without a review. So a tag is believed only where it can be one that
a release made: annotated, of the form that `message` writes, under its own name, on a commit of main, not in the
future, and never moved. One that is not stops what reads it, with the command that sets it right.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from gitops import identifiers, mainline
from gitops.git import has_origin, show
from gitops.identifiers import VERSION as VERSION
from gitops.project import Project, locked
from gitops.shell import CommandError, run

FIELDS = "%(refname:lstrip=2)%00%(objecttype)%00%(type)%00%(object)%00%(tag)%00%(taggerdate:iso-strict)%00%(taggername)"
CLOCKS = timedelta(minutes=10)  # that two machines' clocks may be apart
MOVED = re.compile(r"! \[rejected\]\s+(\S+@v\S+)\s+-> \S+\s+\(would clobber existing tag\)")


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


@dataclass(frozen=True)
class Withdrawal:
    """A release that must not run any more: since when (ISO 8601), who said so, and why; "" where the tag is silent."""

    tag: str
    version: str
    date: str
    who: str
    reason: str

    def words(self) -> str:
        """Return it as the end of a sentence."""
        who = f" by {self.who}" if self.who else ""
        return f"withdrawn on {self.date[:10] or 'an unknown day'}{who}: {self.reason or 'no reason was given'}"


@dataclass(frozen=True)
class Known:
    """What the tags tell.

    Attributes:
        releases: all that could be read, by rising version, also those that `faults` names.
        faults: tag -> why it is not believed and what to do, one sentence.
        withdrawn: version -> its withdrawal.
    """

    releases: tuple[Release, ...]
    faults: dict[str, str]
    withdrawn: dict[str, Withdrawal]


@dataclass(frozen=True)
class _Tag:
    """What Git says of one tag; all but `name` and `kind` are "" for a lightweight one."""

    name: str
    kind: str
    target_kind: str
    target: str
    own_name: str
    date: str
    tagger: str
    text: str


def message(project: Project, version: str, reason: str, identity: str, image: str) -> str:
    """Return the tag's text, from which `releases` reads the facts back."""
    facts = [f"identity: {identity}", *([f"image: {image}"] if image else [])]
    return "\n".join([f"{project.name} {version}: {reason}", "", *facts])


def fetch() -> None:
    """Bring origin's main and tags here, where there is an origin.

    Raises:
        CommandError: origin can't be reached or has no main, or a release's tag there is another than the one here.
    """
    said = mainline.fetch("refs/tags/*:refs/tags/*")  # not forced: a tag that moved must be seen
    for tag in MOVED.findall(said):  # a person's own tag may move
        raise CommandError(
            f"the tag {tag} at origin is not the one in this clone, so one was moved or forged: find out which. "
            f"If origin's is right: `git tag --delete {tag}`; if yours is: `git push --force origin refs/tags/{tag}`"
        )


def known(project: Project) -> Known:
    """Return what the tags tell, with each one that is not believed; nothing is raised."""
    found, faults, withdrawn = list[Release](), dict[str, str](), dict[str, Withdrawal]()
    form = re.compile(rf"{re.escape(project.name)}@v({VERSION.pattern})(!(?:#[0-9]+)?)?")
    on_main = _on_main(project)
    for tag in _listed(project):
        match = form.fullmatch(tag.name)
        if match and match[2]:
            withdrawn.setdefault(match[1], _withdrawal(match[1], tag))
        elif match:
            try:
                found.append(release := _release(project, match[1], tag))
                _believe(release, on_main is None or tag.name in on_main)
            except CommandError as error:
                faults[tag.name] = str(error)
    return Known(tuple(sorted(found, key=lambda one: one.order)), faults, withdrawn)


def releases(project: Project) -> list[Release]:
    """Return the releases by rising version; a tag of another form than `NAME@v1.2.3` is none of ours.

    Raises:
        CommandError: a tag has the name of a release and can't be one that a release made.
    """
    read = known(project)
    if read.faults:
        raise CommandError("\n  ".join(read.faults.values()))
    return list(read.releases)


def find(project: Project, version: str) -> Release:
    """Return one release.

    Raises:
        CommandError: there is none with this version, or a tag is not believed.
    """
    return among(project, releases(project), version)


def among(project: Project, found: list[Release] | tuple[Release, ...], version: str) -> Release:
    """Return the one of these releases that has this version.

    Raises:
        CommandError: there is none.
    """
    for release in found:
        if release.version == version.removeprefix("v"):
            return release
    last = f"the last one is {found[-1].version}" if found else "nothing was released yet"
    raise CommandError(f"there is no release {version!r} of {project.name}: {last}")


def facts(project: Project, release: Release) -> dict[str, Any]:
    """Return what every release.json says of a release, all of it from its tag and its commit."""
    lock = show(release.commit, "dvc.lock") or ""
    more = {"model_md5": locked(lock).get(project.model, ""), "lock_sha256": sha256(lock.encode()).hexdigest()}
    return asdict(release) | more | {"metrics": json.loads(show(release.commit, project.metrics) or "{}")}


def numbers(version: str) -> tuple[int, ...]:
    """Return `1.2.3` as (1, 2, 3)."""
    return tuple(map(int, version.split(".")))


def _listed(project: Project) -> Iterator[_Tag]:
    """Yield each tag whose name starts as a release's."""
    # the x keeps the end of an entry apart from empty fields before a text that starts with a line end
    words = ("for-each-ref", f"--format={FIELDS}%00x%(contents)%00%00", "--end-of-options")
    listed = run("git", *words, _pattern(project))
    for entry in f"{listed}\n".split("\0\0\n")[:-1]:
        name, kind, target_kind, target, own_name, date, tagger, text = entry.split("\0", 7)
        yield _Tag(name, kind, target_kind, target, own_name, date, tagger, text.removeprefix("x"))


def _pattern(project: Project) -> str:
    return f"refs/tags/{project.name}@v*"


def _on_main(project: Project) -> set[str] | None:
    """Return the tags whose commits main contains; None where there is nothing to compare with."""
    if not has_origin() or not mainline.tip():
        return None
    words = ("for-each-ref", "--format=%(refname:lstrip=2)", f"--merged={mainline.TRACKED}", "--end-of-options")
    return set(run("git", *words, _pattern(project)).splitlines())


def _release(project: Project, version: str, tag: _Tag) -> Release:
    """Read a release's tag.

    Raises:
        CommandError: it is not of the form that `message` writes.
    """
    if tag.kind != "tag":
        raise CommandError(
            f"the tag {tag.name} is lightweight: somebody set it by hand, or a tool did. {_remove(tag.name)}"
        )
    start = f"{project.name} {version}: "
    named = dict(re.findall(r"^(identity|image): (.*)$", tag.text, re.MULTILINE))
    if tag.own_name != tag.name or tag.target_kind != "commit" or not tag.text.startswith(start):
        raise CommandError(
            f"the tag {tag.name} does not say what a release writes there, so it is forged. {_remove(tag.name)}"
        )
    try:
        commit = identifiers.commit(tag.target, f"the tag {tag.name}")
        identity = identifiers.sha256(named.get("identity"), f"`identity` of the tag {tag.name}")
        image = identifiers.image(named["image"], f"`image` of the tag {tag.name}") if "image" in named else ""
    except CommandError as error:
        raise CommandError(f"{error}. {_remove(tag.name)}") from None
    reason = identifiers.one_line(tag.text.partition("\n")[0].removeprefix(start))
    return Release(tag.name, version, commit, tag.date, reason, identity, image)


def _believe(release: Release, on_main: bool) -> None:
    """Compare a tag with what is not the tagger's to say; on a laptop without an origin nobody else can have set it.

    Raises:
        CommandError: it names a commit that is not on main, or has no date, or is from the future.
    """
    try:
        early = datetime.fromisoformat(release.date) > datetime.now(UTC) + CLOCKS
    except ValueError:
        raise CommandError(f"the tag {release.tag} has no date, so it is forged. {_remove(release.tag)}") from None
    if early:
        raise CommandError(
            f"the tag {release.tag} is dated {release.date}, which is still to come: it is forged, or a clock is off. "
            f"{_remove(release.tag)}"
        )
    if not on_main:
        raise CommandError(
            f"the tag {release.tag} names {release.commit[:9]}, which is not on origin's main: nobody reviewed it. "
            f"{_remove(release.tag)}"
        )


def _remove(tag: str) -> str:
    """Return the way out: a release makes its tag again."""
    return (
        f"Take it away with `git push origin --delete refs/tags/{tag}` and `git tag --delete {tag}`; if a release had "
        "made it before, the commit's workflow Release, run again, makes it anew"
    )


def _withdrawal(version: str, tag: _Tag) -> Withdrawal:
    """Read a withdrawal's tag; any form counts, since a release that somebody doubts must not run."""
    reason = tag.text.partition("\n")[0].partition(": ")[2]
    return Withdrawal(tag.name, version, tag.date, identifiers.one_line(tag.tagger), identifiers.one_line(reason))
