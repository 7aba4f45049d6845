"""`gitops`: one command for each step of the workflows, the same on a laptop."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.environments.branches import ENVIRONMENTS
from gitops.git import check_tree
from gitops.shell import CommandError, output, say

if TYPE_CHECKING:
    from gitops.review.verdict import Sources

REVIEW = Path("review/review.json")


def main() -> None:
    """Run one command: 0 done, 1 blocked, 2 could not be done (with one sentence on why and what to do)."""
    with output():
        arguments = _parser().parse_args()
        command: Callable[[argparse.Namespace], int] = arguments.run
        try:
            if command in ON_THE_TREE:
                check_tree()
            code = command(arguments)
        except CommandError as error:
            say_error(str(error))
            code = 2
        sys.exit(code)


def say_error(sentence: str) -> None:
    """Say what is wrong where people look: the terminal, and on GitHub the run's annotations."""
    say(f"error: {sentence}", error=True)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        say("::error::" + sentence.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("gitops", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add = commands.add_parser("review", help="compare this model with the champion, on the same rows, and report")
    add.add_argument("--base", help="commit that holds the champion (default: where this branch left main)")
    add.add_argument(
        "--out", type=Path, default=REVIEW.parent, help="folder for the report and review.json (default: %(default)s)"
    )
    add.set_defaults(run=_review)

    add = commands.add_parser(
        "judge", help="compare two tables of predictions, without Git or DVC: exit code 0 pass, 1 block"
    )
    add.add_argument("champion", type=Path, help="Parquet: id, truth, score and any segment columns")
    add.add_argument("challenger", type=Path, help="the same rows, scored by the model that wants to be merged")
    add.add_argument("--gates", type=Path, default="gates.yaml", help="(default: %(default)s)")
    add.add_argument("--json", type=Path, metavar="OUT", help="write the judgement there as well")
    add.set_defaults(run=_judge)

    add = commands.add_parser(
        "assess", help="judge a commit's model by the code that is checked out, and run none of it"
    )
    add.add_argument("commit", help="such as the merge commit of a pull request; its files need not be here")
    add.add_argument("--out", type=Path, default="assessment", help="folder for assessment.json (default: %(default)s)")
    add.set_defaults(run=_assess)

    for name, what in (
        ("comment", "write the review as the pull request's one comment"),
        ("verdict", "say whether the review allows the merge: exit code 0 yes, 1 no"),
    ):
        add = commands.add_parser(name, help=what)
        add.add_argument("--review", type=Path, default=REVIEW, help="(default: %(default)s)")
        add.add_argument(
            "--from", type=Path, dest="artifacts", help="folder of a workflow's artifacts, to read instead"
        )
        add.add_argument("--sha256", default="", help="of the assessment among them, as the job that made it says")
        if name == "comment":
            add.add_argument("--pull-request", type=int, required=True, metavar="NUMBER")
        add.set_defaults(run=_comment if name == "comment" else _verdict)

    add = commands.add_parser("lock", help="is dvc.lock fresh, and does the data remote hold what it names?")
    add.set_defaults(run=_lock)

    add = commands.add_parser("store", help="send data and models to the data remote, or bring them here")
    add.add_argument(
        "direction",
        choices=("pull", "push"),
        help="pull: bring the data and models that this commit names; push: send them",
    )
    add.set_defaults(run=_store)

    add = commands.add_parser(
        "release", help="release the commit that is checked out, or finish an interrupted release"
    )
    add.add_argument("--dry-run", action="store_true", help="print the version and why, and do nothing")
    add.set_defaults(run=_release)

    add = commands.add_parser("card", help="print the model card of the model in this working tree")
    add.add_argument("--out", type=Path, metavar="FILE", help="write it there instead")
    add.set_defaults(run=_card)

    add = commands.add_parser("verify", help="follow a release from its tag to its image: exit code 0 holds, 1 broken")
    add.add_argument("version", nargs="?", default="", help="(default: only what runs in the environments)")
    add.add_argument("--from", type=Path, dest="folder", help="the release's files (default: GitHub's, or dist/)")
    add.set_defaults(run=_verify)

    add = commands.add_parser("fetch-release", help="bring a release here: its commit, and its model file")
    add.add_argument("release", help="a version such as 1.2.0, or the environment that runs it")
    add.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder for its files")
    add.add_argument(
        "--from", type=Path, dest="folder", help="take the model from this folder with the release's files"
    )
    add.set_defaults(run=_fetch_release)

    for name, what, default in (
        ("promote", "let an environment run a release", "staging: HEAD's last one; production: what staging runs"),
        ("rollback", "let an environment run again what it ran before", "the one before this one"),
        ("apply", "give an environment the settings in deploy/, with the release that it runs", "main's newest"),
    ):
        add = commands.add_parser(name, help=what)
        add.add_argument("environment", choices=ENVIRONMENTS)
        example = "a commit of main, whose settings it gets" if name == "apply" else "such as 1.2.0"
        add.add_argument("version", nargs="?", default="", help=f"{example} (default: {default})")
        add.add_argument(
            "--dry-run", action="store_true", help="print what would change in the cluster, and do nothing"
        )
        add.add_argument("--reason", default="", metavar="TEXT", help="why, for the environment's history")
        add.add_argument("--approved", default="", metavar="CHANGE", help="refuse any other change than this one")
        if name == "rollback":
            offline = "print the manifests to go back to as this clone knows them, and do nothing"
            add.add_argument("--offline", action="store_true", help=offline)
        add.set_defaults(run=_change, change=name)

    add = commands.add_parser("withdraw", help="forbid a release: it is neither promoted nor rolled back to any more")
    add.add_argument("version")
    add.add_argument("--reason", required=True, metavar="TEXT", help="why, for everybody who wants to run it")
    add.add_argument("--dry-run", action="store_true", help="print what would be done, and do nothing")
    add.set_defaults(run=_withdraw)

    add = commands.add_parser("erase", help="take rows out of the data, and purge all that was made of them")
    what = "the id of a row, repeatable (default: finish what was started, and purge again what came back)"
    add.add_argument("--id", action="append", default=[], dest="ids", metavar="ID", help=what)
    add.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")
    add.add_argument("--dry-run", action="store_true", help="count what would be erased, and do nothing")
    add.set_defaults(run=_erase)

    add = commands.add_parser("status", help="which version runs where, since when, how good it is, and what waits")
    add.add_argument("--json", action="store_true", help="for other programs")
    add.set_defaults(run=_status)

    add = commands.add_parser("releases", help="every release: who, when, data, metrics, image, where it ran and when")
    add.add_argument("version", nargs="?", default="", help="only this one")
    add.add_argument("--csv", action="store_true", help="for a spreadsheet, with all names in full")
    add.set_defaults(run=_releases)

    add = commands.add_parser("image", help="build the image of this commit on this machine, and try it")
    add.add_argument("--version", default="dev", help="what the service calls itself (default: %(default)s)")
    add.set_defaults(run=_image)
    return parser


# Each command imports what it needs when it runs: `comment` and `verdict` work without any installed package.


def _review(arguments: argparse.Namespace) -> int:
    from gitops.review.review import review_commit

    return review_commit(arguments.base, arguments.out)


def _judge(arguments: argparse.Namespace) -> int:
    from gitops.review.judge import judge_files

    return judge_files(arguments.champion, arguments.challenger, arguments.gates, arguments.json)


def _assess(arguments: argparse.Namespace) -> int:
    from gitops.review.independent import assess_commit

    return assess_commit(arguments.commit, arguments.out)


def _comment(arguments: argparse.Namespace) -> int:
    from gitops.review.verdict import write_comment

    return write_comment(_sources(arguments), arguments.pull_request)


def _verdict(arguments: argparse.Namespace) -> int:
    from gitops.review.verdict import print_verdict

    return print_verdict(_sources(arguments), os.environ.get("NEEDS", ""))


def _sources(arguments: argparse.Namespace) -> "Sources":
    from gitops.review.verdict import Sources

    folder: Path | None = arguments.artifacts
    if folder is None:
        return Sources(arguments.review)
    return Sources(folder / "review/review.json", folder / "assessment/assessment.json", arguments.sha256)


def _lock(_: argparse.Namespace) -> int:
    from gitops import lock

    return lock.report()


def _store(arguments: argparse.Namespace) -> int:
    from gitops import store

    (store.push if arguments.direction == "push" else store.bring)()
    return 0


def _release(arguments: argparse.Namespace) -> int:
    from gitops.release.release import release

    return release(dry_run=arguments.dry_run)


def _card(arguments: argparse.Namespace) -> int:
    from gitops.release.card import show

    return show(arguments.out)


def _verify(arguments: argparse.Namespace) -> int:
    from gitops.release import image
    from gitops.release.verify import verify

    return verify(arguments.version, arguments.folder, image.inspect)


def _fetch_release(arguments: argparse.Namespace) -> int:
    from gitops.release.fetch import fetch_release

    return fetch_release(arguments.release, arguments.out, arguments.folder)


def _change(arguments: argparse.Namespace) -> int:
    from gitops.environments.apply import apply
    from gitops.environments.promote import promote
    from gitops.environments.rollback import rollback
    from gitops.environments.transition import Request

    environment, version = arguments.environment, arguments.version
    request = Request(arguments.dry_run, arguments.reason, arguments.approved)
    if arguments.change == "rollback":
        return rollback(environment, version, request, offline=arguments.offline)
    return (promote if arguments.change == "promote" else apply)(environment, version, request)


def _withdraw(arguments: argparse.Namespace) -> int:
    from gitops.environments.withdraw import withdraw

    return withdraw(arguments.version, arguments.reason, dry_run=arguments.dry_run)


def _erase(arguments: argparse.Namespace) -> int:
    from gitops.erase.erase import erase

    return erase(arguments.ids, arguments.reason, dry_run=arguments.dry_run)


def _status(arguments: argparse.Namespace) -> int:
    from gitops.environments.status import status

    return status(as_json=arguments.json)


def _releases(arguments: argparse.Namespace) -> int:
    from gitops.environments.releases import releases

    return releases(arguments.version, as_csv=arguments.csv)


def _image(arguments: argparse.Namespace) -> int:
    from gitops.release import smoke

    return smoke.trial(arguments.version)


ON_THE_TREE = (
    _review,
    _assess,
    _lock,
    _store,
    _release,
    _card,
    _fetch_release,
    _change,
    _withdraw,
    _erase,
    _image,
)  # at the root, with no merge open

if __name__ == "__main__":
    main()
