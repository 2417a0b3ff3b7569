"""The embedded engine's memory: as much as the operator gives it, and no more."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.config import DATABASE_MEMORY_BYTES_LEAST, ServiceFile
from service.engine.unloadable import CODES_OF_MACHINES

ASK = """
import sys
from pathlib import Path
from clickhouse_connect.driver.exceptions import DatabaseError
from service.engine.clickhouse import ClickHouse
house = ClickHouse(Path(sys.argv[1]), memory_bytes=int(sys.argv[2]))
client = house.client()
try:
    client.query("select length(groupArray(number)) from numbers(100000000)")
except DatabaseError as problem:
    print(problem.code)
print(client.query("select 1").result_rows[0][0])
house.close()
"""


def test_the_embedded_engine_holds_no_more_than_it_may(tmp_path: Path) -> None:
    """A query that needs more fails as no record's fault, and the next one is answered."""
    # Why a process: the engine is opened once in each, with its limits.
    ran = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path), str(DATABASE_MEMORY_BYTES_LEAST)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    code, answer = map(int, ran.stdout.split())
    assert code in CODES_OF_MACHINES
    assert answer == 1


@pytest.mark.parametrize("given", [-1, 1, DATABASE_MEMORY_BYTES_LEAST - 1])
def test_too_little_memory_is_refused(given: int) -> None:
    """Memory in which no chunk could be loaded is an error that says how much there must be."""
    with pytest.raises(ValueError, match=f"at least {DATABASE_MEMORY_BYTES_LEAST}"):
        ServiceFile(database_memory_bytes=given)
    assert ServiceFile().database_memory_bytes == 0
