"""The walls between the three rooms of a generated repository, read from the imports, and the size of the first one."""

import ast
from pathlib import Path

import pytest
from harness import ROOT, TEMPLATE

SOURCE = ROOT / TEMPLATE / "src"
MAY_IMPORT = {"model": {"model", "serving"}, "serving": {"serving"}, "gitops": {"gitops"}}
MODEL_LINES = 450  # what a data scientist reads in five minutes


def imported(file: Path) -> set[str]:
    """Return the top-level names that a file imports, inside functions too."""
    found = set[str]()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides the room that it leads to"
            found.add(str(node.module).partition(".")[0])
    return found


def test_there_are_three_rooms() -> None:
    assert {folder.name for folder in SOURCE.iterdir() if folder.is_dir() and folder.name != "__pycache__"} == set(
        MAY_IMPORT
    )


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = sorted((SOURCE / room).rglob("*.py"))
    assert files
    for file in files:
        assert imported(file) & set(MAY_IMPORT) <= MAY_IMPORT[room], file


def test_the_data_scientist_s_room_is_small() -> None:
    assert sum(len(file.read_text().splitlines()) for file in (SOURCE / "model").rglob("*.py")) <= MODEL_LINES
