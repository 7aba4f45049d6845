"""What a release refuses: a commit that is not on main, a changed tree, a tag or review that forbids it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gitops import mainline, tags
from gitops.environments import trust
from gitops.git import git, has_origin, paths
from gitops.project import Project
from gitops.release import bento, image
from gitops.shell import CommandError, run, say

SHOWN = 3  # files that a sentence names


def check(project: Project) -> None:
    """Refuse to release anything but a commit that origin's main holds, from a working tree that is that commit's.

    Without an origin there is no main that others reviewed; the release then stays in this clone, which is said.

    Raises:
        CommandError: HEAD is not on origin's main, or a file is not as HEAD has it.
    """
    if has_origin():
        mainline.fetch()
        if not mainline.holds(git("rev-parse", "HEAD")):
            raise CommandError(
                "this commit is not on origin's main, so nobody reviewed it and it is not released: push the branch, "
                "open a pull request, and let the merge release it"
            )
    else:
        say("This clone has no `origin`, so nobody reviewed this commit: the release stays on this machine.")
    if changed := _changed(project):
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise CommandError(
            f"{', '.join(changed[:SHOWN])}{more} {'differ' if changed[1:] else 'differs'} from the commit that would "
            "be released: commit it, or take the change back (`git status`, `git restore`)"
        )


def check_tagged(
    release: tags.Release, known: Sequence[tags.Release], inspect: Callable[[str], Mapping[str, str]]
) -> None:
    """Refuse to take up a release from its tag alone: whoever may push a tag could have made it.

    `inspect` asks the registry, as in `gitops.release.verify.verify`.

    Raises:
        CommandError: the image is not the project's own, not in the registry, or not made of this commit.
    """
    trust.own_image(release, tuple(known))
    if not image.repository():
        return
    remove = f"`git push origin --delete refs/tags/{release.tag}` (and `git tag --delete` in each clone)"
    way_out = f"take the tag away with {remove}, and run this again: it makes the release anew"
    if not release.image:
        raise CommandError(f"the tag {release.tag} names no image, and IMAGE says that releases have one: {way_out}")
    held = inspect(release.image)
    wanted = {"digest": release.image.partition("@")[2], "revision": release.commit, "identity": release.identity}
    for name, value in wanted.items():
        if held.get(name) != value:
            raise CommandError(
                f"the tag {release.tag} says that the {name} of its image is {value}, and the registry says "
                f"{held.get(name) or 'that there is none'}: the tag is forged or the image is gone; {way_out}"
            )


def check_review(version: str, reasons: Sequence[str]) -> None:
    """Refuse a version whose review blocks, however it got merged.

    Args:
        version: the one to be made.
        reasons: why the review of the release blocks, by the gates of its commit; what a waiver accepts is none.

    Raises:
        CommandError: there is a reason.
    """
    if reasons:
        way_out = (
            "improve the model, or let a code owner accept it for a time with `waivers` in gates.yaml; then merge that"
        )
        raise CommandError("\n  ".join([f"{version} is not released, since its review blocks it:", *reasons, way_out]))


def _changed(project: Project) -> list[str]:
    """Return the files that are not as HEAD has them, whatever `git update-index` was told to overlook."""
    tracked, changed = dict[str, str](), list[str]()
    for entry in paths("ls-tree", "-r", "HEAD"):
        head, _, name = entry.partition("\t")
        mode, _, blob = head.split()
        if mode in ("100644", "100755"):
            tracked[name] = blob
    for name in tracked:
        if "\n" in name or not Path(name).is_file() or Path(name).is_symlink():
            changed.append(name if name.isprintable() else repr(name))
    names = sorted(tracked.keys() - set(changed) - {name for name in tracked if "\n" in name})
    here = run("git", "hash-object", "--stdin-paths", text="".join(f"{name}\n" for name in names)).splitlines()
    changed += [name for name, blob in zip(names, here, strict=True) if blob != tracked[name]]
    wanted = [name for name in bento.contents(project) if name not in tracked and name != project.model]
    new = [name for name in wanted if Path(name).exists()]  # what is missing is told by the build
    return sorted({*changed, *new})
