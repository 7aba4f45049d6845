"""`model score` reads from a real S3 server what it reads from a disk, and says in one sentence why it can't."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from harness import Failed
from laptop import Laptop
from s3 import SECRET, Bucket, bucket

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Bucket]:
    with bucket(tmp_path / "weed") as started:
        yield started


def refusal(laptop: Laptop, source: str) -> str:
    """Return the sentence with which a source is refused."""
    with pytest.raises(Failed) as failed:
        laptop.run(f"python -m model score {source} refused.csv")
    command, said = str(failed.value).split("\n", 1)
    assert command.endswith("exited with 2") and said.count("\n") == 1, said
    assert not list(laptop.path.glob("refused*"))
    return said


def test_rows_on_s3_are_scored_like_those_on_the_disk(on_laptop: Laptop, store: Bucket) -> None:
    on_laptop.env |= store.env
    rows = pd.read_parquet(on_laptop.path / "build/table.parquet")[:900]
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

    assert f"there is no s3://{store.name}/none" in refusal(on_laptop, f"s3://{store.name}/none")
    assert "there is no s3://nobucket/rows" in refusal(on_laptop, "s3://nobucket/rows")
    on_laptop.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
    said = refusal(on_laptop, f"s3://{store.name}/rows")
    assert "can't be reached: check the variables AWS_*" in said and "ACCESS_DENIED" in said
    on_laptop.env["AWS_SECRET_ACCESS_KEY"] = SECRET
    store.stop()
    said = refusal(on_laptop, f"s3://{store.name}/rows")
    assert "can't be reached: check the variables AWS_*" in said and "Failed to connect" in said
