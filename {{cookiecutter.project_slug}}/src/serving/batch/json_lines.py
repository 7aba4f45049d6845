"""Score a file where the service runs: `python -m serving.batch.json_lines IN.jsonl OUT.csv`, in a release's image.

The image holds neither pyarrow nor pandas, so this reads what callers send: a JSON object a line, by the same contract,
checked, scored and logged by the same code. OUT is replaced when it is whole; the lines that break the contract are in
OUT.errors.csv.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from serving.api.predict import Predictor, Unscorable, predictor
from serving.api.types import BINARY, SCHEMA, Query, Row
from serving.rows.errors import ModelError, run_stage
from serving.rows.parameters import read_yaml

AT_ONCE = 1000  # lines
BENTO = Path("../bento.yaml")  # of a release, whose files lie in its folder `src`
Lines = list[tuple[int, Any]]  # a line's number, from 1, and its record


def score_lines(source: Path, out: Path, reasons: int = 0) -> tuple[int, int]:
    """Write a row for each record, in their order, with `reasons` of them, and return how many are good and bad.

    Raises:
        ModelError: there is no such file, it has no lines, or OUT can't be written.
    """
    model, good, bad = predictor(), 0, 0
    if BENTO.exists():
        model.names["model_version"] = str(read_yaml(BENTO)["version"])
    reasons = min(reasons, len(SCHEMA.columns))
    errors = out.with_name(f"{out.name}.errors.csv")
    aside = [path.with_name(f".{path.name}.new") for path in (out, errors)]
    try:
        with (
            source.open("rb") as lines,
            aside[0].open("w", encoding="utf-8", newline="") as scores_file,
            aside[1].open("w", encoding="utf-8", newline="") as errors_file,
        ):
            scores, faults = csv.writer(scores_file), csv.writer(errors_file)
            scores.writerow(_header(reasons))
            faults.writerow(["row", "column", "reason"])
            numbered = enumerate(lines, 1)
            while chunk := list(islice(numbered, AT_ONCE)):
                records, wrong = _checked(chunk)
                rows, unscorable = _answers(model, records, reasons)
                scores.writerows(rows)
                faults.writerows(sorted([*wrong, *unscorable]))
                good, bad = good + len(rows), bad + len(wrong) + len(unscorable)
    except OSError as error:
        raise ModelError(f"{error.filename}: {error.strerror}: check the two paths") from None
    if not good + bad:
        raise ModelError(f"{source} has no lines, so there is nothing to score: check what wrote it")
    aside[0].replace(out)
    if bad:
        aside[1].replace(errors)
    else:
        aside[1].unlink()
        errors.unlink(missing_ok=True)
    return good, bad


def _header(reasons: int) -> list[str]:
    told = [f"reason_{number}" for number in range(1, reasons + 1)]
    return ["id", "score", *(["label"] if BINARY else []), *told, "model_version", "model"]


def _checked(lines: list[tuple[int, bytes]]) -> tuple[Lines, list[tuple[int, str, str]]]:
    """Return the records that keep the contract, and for each other line its number, the column and what is wrong."""
    good: Lines = []
    wrong = []
    for number, line in lines:
        try:
            good.append((number, Row.model_validate_json(line)))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            wrong.append((number, ".".join(map(str, first["loc"])), first["msg"]))
    return good, wrong


def _answers(model: Predictor, lines: Lines, reasons: int) -> tuple[list[list[Any]], list[tuple[int, str, str]]]:
    """Return a row of OUT for each record that can be scored, and the others as `_checked` does."""
    wrong: list[tuple[int, str, str]] = []
    while lines:
        query = Query.model_construct(records=[record for _, record in lines], reasons=reasons)
        try:
            answer = model.answer(query)
        except Unscorable as error:
            wrong.append((lines[error.index][0], "", str(error)))
            lines = [*lines[: error.index], *lines[error.index + 1 :]]
            continue
        named = [answer["model_version"], answer["model_md5"][:8]]
        numbers = [number for number, _ in lines]
        return [list(_row(*pair, reasons, named)) for pair in zip(numbers, answer["predictions"], strict=True)], wrong
    return [], wrong


def _row(number: int, prediction: dict[str, Any], reasons: int, named: list[str]) -> Iterator[Any]:
    yield prediction["id"] if SCHEMA.id else number
    yield prediction["score"]
    if BINARY:
        yield prediction["label"]
    told = [reason["text"] for reason in prediction.get("reasons", [])]
    yield from [*told, *[""] * (reasons - len(told))]
    yield from named


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("serving.batch.json_lines", description=__doc__)
    parser.add_argument("source", type=Path, metavar="IN", help="a record a line, as callers send it")
    parser.add_argument("out", type=Path, metavar="OUT", help="CSV file")
    parser.add_argument("--reasons", type=int, default=0, metavar="N", help="columns with reasons in words")
    options = vars(parser.parse_args())

    def command() -> None:
        good, bad = score_lines(**options)
        where = f"; the other {bad:,} and why: {options['out']}.errors.csv" if bad else ""
        version = predictor().names["model_version"]
        # not on stdout, where the prediction log is
        print(f"{options['out']}: {good:,} records scored by release {version}{where}", file=sys.stderr)

    run_stage(command)


if __name__ == "__main__":
    main()
