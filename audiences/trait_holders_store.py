"""Asks a table of traits who has one with a value that passes; `is_not` is no test of it."""

from clickhouse_connect.driver.client import Client
from pyroaring import BitMap

from audiences.bitmap_states import decode_state
from audiences.conditions import Op, Value, numbers_of, texts_of
from audiences.sql import sql


def stored_holders(
    client: Client, source: str, holder: str, trait: str, op: Op, value: Value
) -> BitMap:
    """Read from a table of traits whose value passes; the second name is its holders' column."""
    parameters = {
        "source": source,
        "holder": holder,
        "trait": trait,
        "op": op.value,
        "texts": texts_of(value),
        "numbers": numbers_of(value),
    }
    state = client.raw_query(sql("trait_holders"), parameters=parameters, fmt="RowBinary")
    return decode_state(state)[0]
