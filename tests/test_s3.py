"""`model score` reads and writes on a real S3 server what it does on a disk, and says in one sentence why it can't."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from harness import Failed
from laptop import Laptop
from s3 import KEY, READ_ONLY_KEY, READ_ONLY_SECRET, Bucket, bucket

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Bucket]:
    with bucket(tmp_path / "weed") as started:
        yield started


def refusal(laptop: Laptop, source: str, out: str = "refused.csv") -> str:
    """Return the sentence with which a command is refused."""
    with pytest.raises(Failed) as failed:
        laptop.run(f"python -m model score {source} {out}")
    command, said = str(failed.value).split("\n", 1)
    assert command.endswith("exited with 2") and said.count("\nerror: ") + said.startswith("error: ") == 1, said
    assert "Traceback" not in said
    return said.rpartition("error: ")[2]


def test_rows_on_s3_are_scored_like_those_on_the_disk(on_laptop: Laptop, store: Bucket) -> None:
    on_laptop.env |= store.env
    rows = pd.read_parquet(on_laptop.path / "build/table.parquet")[:900]
    rows.loc[5, "monthly_charges"] = -1.0
    rows.to_csv(on_laptop.path / "rows.csv", index=False)
    store.put("one file/rows.csv", (on_laptop.path / "rows.csv").read_bytes())
    for contract, part in rows.groupby("contract"):
        content = BytesIO()
        part.drop(columns="contract").to_parquet(content)
        store.put(f"rows/contract={contract}/0.parquet", content.getvalue())
    store.put("rows/_SUCCESS", b"")
    on_laptop.run("python -m model score rows.csv local.csv")
    on_laptop.run(f"python -m model score s3://{store.name}/one%20file/rows.csv csv.csv")
    assert on_laptop.read("csv.csv") == on_laptop.read("local.csv")
    on_laptop.run(f"python -m model score s3://{store.name}/rows parts.csv --batch-rows 100")
    assert sorted(on_laptop.read("parts.csv").splitlines()) == sorted(on_laptop.read("local.csv").splitlines())

    out = f"s3://{store.name}/scores/all.csv"
    on_laptop.env |= {"AWS_ACCESS_KEY_ID": READ_ONLY_KEY, "AWS_SECRET_ACCESS_KEY": READ_ONLY_SECRET}
    said = refusal(on_laptop, "rows.csv", f"{out} --workers 2 --batch-rows 100")
    assert f"{out} can't be reached: check the variables AWS_*" in said and "ACCESS_DENIED" in said
    assert (on_laptop.path / "all.csv.parts").is_dir()
    on_laptop.env |= store.env
    said = on_laptop.run(f"python -m model score rows.csv {out} --batch-rows 100")
    assert f"{out}: 899 of 900 rows scored" in said
    assert store.get("scores/all.csv") == (on_laptop.path / "local.csv").read_bytes()
    assert on_laptop.read("all.csv.errors.csv") == on_laptop.read("local.csv.errors.csv")
    assert [path.name for path in on_laptop.path.glob("all.csv*")] == ["all.csv.errors.csv"]
    (on_laptop.path / "all.csv.errors.csv").unlink()
    assert f"{out} exists" in refusal(on_laptop, "rows.csv", out)
    assert "there is no bucket s3://nobucket" in refusal(on_laptop, "rows.csv", "s3://nobucket/all.csv")

    assert "there is no s3://nobucket/rows" in refusal(on_laptop, "s3://nobucket/rows")
    said = refusal(on_laptop, f"s3://{KEY}:wrong@{store.name}/rows")
    assert said.startswith(f"s3://{store.name}/rows can't be reached: check the variables AWS_*"), said
    assert "ACCESS_DENIED" in said
    store.stop()
    said = refusal(on_laptop, f"s3://{store.name}/rows")
    assert "can't be reached: check the variables AWS_*" in said and "Failed to connect" in said
    assert not list(on_laptop.path.glob("refused*"))
