"""Whether a release may run: its image is the project's own, it was not moved, and nobody has withdrawn it."""

from gitops import tags
from gitops.environments import branches
from gitops.release import image
from gitops.shell import CommandError


def check(release: tags.Release, known: tags.Known) -> None:
    """Compare a release with what its tag can't decide alone.

    Raises:
        CommandError: it is withdrawn, its image is not the project's own, or its tag says something else than what ran.
    """
    if gone := known.withdrawn.get(release.version):
        raise CommandError(f"{release.version} was {gone.words()}. It is not brought anywhere; release what mends it")
    own_image(release, known.releases)
    for environment in branches.ENVIRONMENTS:
        states = [one for one in branches.history(environment) if one.version == release.version]
        first = states[-1].release if states else None  # no later commit can change what it says
        if first and (first.commit, first.image) != (release.commit, release.image):
            raise CommandError(
                f"the tag {release.tag} names {_named(release.commit, release.image)}, and when {environment} first "
                f"ran it, that was {_named(first.commit, first.image)}: one of them was moved or forged. If the latter "
                f"is right, set the tag back: `uv run gitops verify {release.version}` shows what else says so"
            )


def own_image(release: tags.Release, known: tuple[tags.Release, ...] | list[tags.Release]) -> None:
    """Compare the place of a release's image with the project's own: IMAGE, or else that of the first release.

    Raises:
        CommandError: it lies elsewhere.
    """
    if not release.image:
        return
    place, own = release.image.partition("@")[0], image.repository()
    if own and place != own:
        raise CommandError(
            f"the tag {release.tag} names an image in {place}, and IMAGE says that this project's are in {own}: it is "
            "forged, or the images have moved since. If it is forged, take it away with `git push origin --delete "
            f"refs/tags/{release.tag}`; if they have moved, set IMAGE={place} for this one run"
        )
    first = next((one.image.partition("@")[0] for one in known if one.image), place)
    if not own and place != first:
        raise CommandError(
            f"the tag {release.tag} names an image in {place}, and the first release's is in {first}: set IMAGE to the "
            "place where this project's images are, so that it can be told whether the tag is forged"
        )


def _named(commit: str, named: str) -> str:
    return f"{commit[:9]} with {named or 'no image'}"
