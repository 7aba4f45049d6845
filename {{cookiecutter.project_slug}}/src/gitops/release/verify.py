"""Follow a release from its tag to what runs: each link is checked, and one that does not hold is named.

What runs is read from the environments' manifests, not from what their release.json says of them.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from gitops import tags
from gitops.git import has_origin, remote_env
from gitops.project import Project, load
from gitops.release import assets
from gitops.release.chain import Inspect, Link, chain, environments
from gitops.shell import CommandError, run, say

MARKS = {True: "✓", False: "✗", None: "–"}


def verify(version: str, folder: Path | None, inspect: Inspect | None = None) -> int:
    """Print each link of a release's chain; 0 when none is broken, 1 when one is.

    Args:
        version: of the release; "": only compare what each environment runs with its release and settings.
        folder: where its assets are; None: on GitHub, or in dist/.
        inspect: asks the registry about `repository@sha256:...`: `digest`, and the labels `revision` and `identity`; it
            returns nothing where there is no such image, and raises CommandError where the registry can't be asked.

    Raises:
        CommandError: there is no such release.
    """
    project = load()
    tags.fetch()
    if has_origin():  # `main` and the environments as they are now
        run("git", "fetch", "--quiet", "origin", env=remote_env())
    links = _links(project, version, folder, inspect) if version else environments(project, tags.known(project), None)
    for link in links:
        say(f"{MARKS[link.holds]} {link.name}: {'not checked: ' * (link.holds is None)}{link.words}")
    broken, open_ = ([link.name for link in links if link.holds is state] for state in (False, None))
    if broken:
        say(f"Broken: {', '.join(broken)}. Don't run this release before somebody knows why.")
        return 1
    say("Every link holds" + (f" that could be checked; not checked: {', '.join(open_)}." if open_ else "."))
    return 0


def _links(project: Project, version: str, folder: Path | None, inspect: Inspect | None) -> list[Link]:
    known = tags.known(project)
    try:
        release = tags.among(project, known.releases, version)
    except CommandError:
        if fault := known.faults.get(f"{project.name}@v{version.removeprefix('v')}"):
            return [Link("tag", False, fault)]
        raise
    with TemporaryDirectory() as temporary:
        return chain(project, known, release, assets.find(release, folder, Path(temporary)), inspect)
