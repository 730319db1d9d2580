"""docs/data.md says of every data set what its class does."""

from inspect import isclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from difflab.runs.allowed import allowed
from tests.conftest import composed, options

TABLE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


def kind_of(option):
    """The class of an option; of one that is made by a function, the first that it may make."""
    target = allowed(composed(f"data={option}").data._target_, "data")
    return target if isclass(target) else get_args(get_type_hints(target)["return"])[0]


def row_of(option):
    """The cells of the row of an option, by column."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line[:1] == "|"]
    (row,) = [cells for cells in lines if cells[0] == f"`{option}`"]
    (head,) = [cells for cells in lines if cells[0] == "`data=`"]
    return dict(zip(head, row, strict=True))


@pytest.mark.parametrize("option", options("data"))
def test_the_table_says_what_the_class_says(option):
    said = row_of(option)
    assert {column: said[column] for column in kind_of(option).stated()} == kind_of(option).stated()


def test_the_table_has_no_other_rows():
    named = {line.split("`")[1] for line in TABLE.splitlines() if line.startswith("| `") and "data=" not in line}
    assert named >= set(options("data"))
    assert not {name for name in named - set(options("data")) if not name.startswith("data.")}
