"""The command line: `uv run model --help`."""

import argparse
import sys
from pathlib import Path

from model.schema import ModelError


def main() -> None:
    """Run one command; a mistake in the input ends with one sentence and exit code 2."""
    try:
        run(parser().parse_args())
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def parser() -> argparse.ArgumentParser:
    """Return the commands and their help."""
    top = argparse.ArgumentParser(prog="model", description="The model, from a table to a service.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    command("validate", "check data/table.csv against schema.yaml and write the typed table")
    command("split", "set rows aside that judge every model and train none")
    command("train", "fit the pipeline of params.yaml and write it to build/model.bin, as ONNX or skops")
    evaluate = command(
        "evaluate", "score rows with build/model.bin; without options also write metrics.json and plots/"
    )
    evaluate.add_argument(
        "--rows", type=Path, default="build/holdout.parquet", help="Parquet file (default: %(default)s)"
    )
    evaluate.add_argument(
        "--predictions", type=Path, default="build/predictions.parquet", help="where to write (default: %(default)s)"
    )
    evaluate.add_argument(
        "--timing", type=Path, help="where to write how long one prediction takes, and the model's format (JSON)"
    )
    scoring = command("score", "score the rows of a file or folder; killed and run again, it goes on where it stopped")
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
    contract = command("contract", "write openapi.json, what the service promises its callers")
    contract.add_argument("--check", action="store_true", help="write nothing, and fail when the file is out of date")
    command("key", "make a key for a caller of the service, and the digest by which the service knows it")
    adopt = command("adopt", "make another table this project's: write schema.yaml and all that follows from it")
    adopt.add_argument("file", type=Path, help="CSV file in UTF-8, with commas and a header")
    adopt.add_argument("--target", required=True, metavar="COLUMN", help="what to predict: two values, or a number")
    adopt.add_argument("--id", metavar="COLUMN", help="what identifies a row (default: found by name; '' for none)")
    adopt.add_argument(
        "--positive",
        metavar="VALUE",
        help="the target's value that a high score means (default: yes, true, 1 or the rarer)",
    )
    adopt.add_argument("--dry-run", action="store_true", help="show what would be decided, and write nothing")
    return top


def at_least_one(text: str) -> int:
    """Read the value of an option that counts something."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def run(args: argparse.Namespace) -> None:
    """Call the command's function; each imports only the libraries that it needs."""
    match args.command:
        case "validate" | "split":
            from model import data

            data.validate() if args.command == "validate" else data.split()
        case "train":
            from model.train import train

            train()
        case "evaluate":
            from model.evaluate import evaluate

            evaluate(args.rows, args.predictions, args.timing)
        case "score":
            from model.batch.job import run as score

            score(args.source, args.out, args.errors, args.batch_rows, args.workers, force=args.force)
        case "contract":
            from model.contract import contract

            contract(check=args.check)
        case "key":
            from model.auth import new_key

            key, digest = new_key()
            print(f"key     {key}  for the caller, shown this once\ndigest  {digest}  for SERVICE_KEYS")
        case "adopt":
            from model.adopt import adopt

            adopt(args.file, args.target, args.id, args.positive, dry_run=args.dry_run)


if __name__ == "__main__":
    main()
