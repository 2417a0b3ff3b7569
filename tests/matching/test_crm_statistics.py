"""What a file looks like: counted exactly while values are few, and showing nobody."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.crm.columns import CrmColumns, TraitColumn
from matching.crm.rows import CrmFileError, batches_of_rows, read_batches, read_rows
from matching.crm.statistics import (
    EXACT_MAX,
    ColumnStatistics,
    FileStatistics,
    TopValue,
)
from matching.crm.values import TraitType

COLUMNS = CrmColumns(
    aliases={"card": "card"},
    traits={
        "age": TraitColumn(column="age", type=TraitType.NUMBER),
        "since": TraitColumn(column="since", type=TraitType.DATE),
        "any": TraitColumn(column="any"),
        "city": TraitColumn(column="city", type=TraitType.TEXT),
    },
)


def told(
    text: str, columns: CrmColumns = COLUMNS, rows_max: int = 7
) -> dict[str, ColumnStatistics]:
    """Look at a CSV in batches."""
    found = FileStatistics(columns)
    for batch in read_batches(text.encode(), "csv", rows_max):
        found.note(batch)
    return {each.column: each for each in found.told()}


def test_columns_are_told_over_batches() -> None:
    """Fill rate, type, distinct, least and greatest, and frequent values come from all batches."""
    rows = [
        f"c{n},p{n % 10}@example.com,K{n},{n % 5},2020-01-{n % 9 + 1:02d},"
        f"{'x' if n % 2 else n},Nantes"
        for n in range(40)
    ]
    rows.append("z, ,,,old,true,Paris")
    found = told("crm_id,email,card,age,since,any,city\n" + "\n".join(rows) + "\n")
    email, age, since = found["email"], found["age"], found["since"]
    assert (email.meaning, email.filled, email.distinct, email.top) == ("email", 40, 10, [])
    assert email.fill_rate == pytest.approx(40 / 41, abs=1e-4)
    assert found["card"].meaning == "alias card"
    assert (age.meaning, age.type, age.distinct, age.least, age.greatest) == (
        *("trait age", "number", 5),
        *("0", "4"),
    )
    assert age.top == []  # each of the five stands in eight rows alone
    assert (since.type, since.least, since.greatest) == (
        *("date or unreadable", "2020-01-01"),
        "2020-01-09",
    )
    assert found["any"].type == "number or text or boolean"
    assert found["any"].top == [TopValue(value="x", count=20)]
    assert found["city"].top == [TopValue(value="Nantes", count=40)]
    assert all(each.distinct_exact for each in found.values())


def test_very_many_values_are_estimated() -> None:
    """Beyond the limit the count is right to about a per cent, in however many batches."""
    count = 5 * EXACT_MAX
    for rows_max in (50_000, count):
        text = "crm_id\n" + "".join(f"customer {n}\n" for n in range(count))
        (column,) = told(text, rows_max=rows_max).values()
        assert not column.distinct_exact
        assert column.distinct == pytest.approx(count, rel=0.02)
    (few,) = told("crm_id\n" + "x\ny\n" * 1_000, rows_max=300).values()
    assert (few.distinct, few.distinct_exact) == (2, True)


def test_values_that_are_no_texts() -> None:
    """Lists, numbers and empty cells of other formats are counted too."""
    rows: list[dict[str, Any]] = [
        {"crm_id": 1, "any": [1, 2]},
        {"crm_id": 2, "any": None},
        {"crm_id": 3},
    ]
    found = FileStatistics(COLUMNS)
    for batch in batches_of_rows(enumerate(rows, start=1)):
        found.note(batch)
    crm_id, any_ = found.told()
    assert (crm_id.rows, crm_id.filled, crm_id.distinct) == (3, 3, 3)
    assert (any_.filled, any_.type, any_.distinct) == (1, "set", 1)


FIELD = st.text('ab1,;\t"\n\r é@', max_size=4)


@given(st.lists(st.lists(FIELD, min_size=1, max_size=3), max_size=4), st.sampled_from(",;\t"))
def test_both_ways_to_cut_a_csv_agree(rows: list[list[str]], delimiter: str) -> None:
    """A plain file is read at once, any other row by row, and nobody can tell which it was."""
    text = f"x{delimiter}y\n" + "".join(delimiter.join(row) + "\n" for row in rows)
    try:
        expected = list(read_rows(text.encode(), "csv"))
    except CrmFileError as problem:
        with pytest.raises(CrmFileError, match=str(problem)[:20]):
            list(read_batches(text.encode(), "csv"))
        return
    found = []
    for batch in read_batches(text.encode(), "csv", 2):
        found += [(line, {"\0unreadable": why}) for line, why in batch.unreadable]
        for row, line in enumerate(batch.lines):
            cells = batch.columns.items()
            values = {
                name: each.values[each.codes[row]] for name, each in cells if each.codes[row] >= 0
            }
            found.append((line, values))
    assert sorted(found, key=lambda each: each[0]) == expected
