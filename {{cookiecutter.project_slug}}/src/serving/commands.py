"""The commands of the service's side: score a file, write the contract, make a key, adopt a table."""

import argparse
from pathlib import Path
from typing import Any

# Each command imports what it needs when it runs: `model --help` then takes no second.


def add_commands(commands: Any) -> None:
    """Add the commands to argparse's subparsers; each sets `run`, a function of the command's options."""

    def add(name: str, text: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
        return parser

    scoring = add("score", "score the rows of a file or folder; killed and run again, it goes on where it stopped")
    scoring.add_argument(
        "source",
        metavar="IN",
        help=".csv or .parquet file, or a folder of them, here or s3://BUCKET/PATH (which AWS_ACCESS_KEY_ID,"
        " AWS_SECRET_ACCESS_KEY and, unless it is Amazon's, AWS_ENDPOINT_URL open)",
    )
    scoring.add_argument(
        "out",
        metavar="OUT",
        help=".csv or .parquet file, here or s3://BUCKET/PATH (then the unfinished work and the bad rows are in this"
        " folder), or a new folder for Parquet files",
    )
    scoring.add_argument("--errors", type=Path, metavar="FILE", help="where bad rows go (default: OUT.errors.csv)")
    scoring.add_argument("--batch-rows", type=at_least_one, metavar="N", help="rows scored at a time (default: 32,768)")
    scoring.add_argument(
        "--workers", type=at_least_one, metavar="N", help="parts at once (default: 2, or more for millions of rows)"
    )
    scoring.add_argument("--force", action="store_true", help="replace OUT and its errors")
    scoring.add_argument(
        "--release",
        metavar="VERSION",
        help="score with exactly this release: a version such as 1.2.0, or what `staging` or `production` runs"
        " (default: the model in build/)",
    )
    people = scoring.add_argument_group("for people", "a file to work with, instead of one for programs")
    people.add_argument(
        "--rank", action="store_true", help="sort by falling score, with the columns `rank` and `decile` (1: the top)"
    )
    people.add_argument("--top", type=at_least_one, metavar="N", help="only the N highest scores, ranked")
    people.add_argument("--round", type=at_least_one, metavar="N", dest="digits", help="N digits of the score")
    people.add_argument(
        "--reasons",
        type=at_least_one,
        metavar="N",
        help="N columns with reasons in words; takes as many times longer as there are columns",
    )
    people.add_argument(
        "--spreadsheet",
        choices=("point", "comma"),
        help="CSV that Excel and its like open right, in a language that writes 0.5 (then commas between cells) or 0,5"
        " (then semicolons): with the mark of UTF-8, and a ' ahead of cells that it would compute",
    )
    people.add_argument(
        "--delimiter", choices=(",", ";", "|", "tab"), metavar="MARK", help="between the cells of CSV: , ; | or tab"
    )
    people.add_argument(
        "--decimal", choices=(".", ","), metavar="MARK", help="in the numbers of CSV: . or , (then ; between the cells)"
    )
    scoring.set_defaults(run=_score)

    contract = add("contract", "write openapi.json, what the service promises its callers")
    contract.add_argument("--check", action="store_true", help="write nothing, and fail when the file is out of date")
    contract.set_defaults(run=_contract)

    key = add("key", "make a key for a caller of the service, and the digest by which the service knows it")
    key.set_defaults(run=_key)

    adopt = add("adopt", "make another table this project's: write schema.yaml and all that follows from it")
    adopt.add_argument("file", type=Path, help="CSV file in UTF-8, with commas and a header")
    adopt.add_argument("--target", required=True, metavar="COLUMN", help="what to predict: two values, or a number")
    adopt.add_argument("--id", metavar="COLUMN", help="what identifies a row (default: found by name; '' for none)")
    adopt.add_argument(
        "--positive",
        metavar="VALUE",
        help="the target's value that a high score means (default: yes, true, 1 or the rarer)",
    )
    adopt.add_argument("--dry-run", action="store_true", help="show what would be decided, and write nothing")
    adopt.set_defaults(run=_adopt)


def at_least_one(text: str) -> int:
    """Read the value of an option that counts something."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _score(release: str | None, **options: Any) -> None:
    if release:
        from serving.batch.release import score_with

        score_with(release, options)
        return
    from serving.batch import job, layout, reviewed

    form = ("rank", "top", "digits", "delimiter", "decimal", "spreadsheet")
    chosen = layout.chosen(**{name: options.pop(name) for name in form})
    reviewed.check_build()
    job.run(options.pop("source"), options.pop("out"), layout=chosen, **options)


def _contract(check: bool) -> None:
    from serving.api.contract import contract

    contract(check=check)


def _key() -> None:
    from serving.api.auth import new_key

    key, digest = new_key()
    print(f"key     {key}  for the caller, shown this once\ndigest  {digest}  for SERVICE_KEYS")


def _adopt(file: Path, target: str, id: str | None, positive: str | None, dry_run: bool) -> None:  # noqa: A002
    from serving.adopt.adopt import adopt

    adopt(file, target, id, positive, dry_run=dry_run)
