"""Matrix products of lookalikes stay on one core, so that the tag keeps the others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = """
from pathlib import Path
import service.cli, numpy, scipy.sparse
for task in Path("/proc/self/task").iterdir():
    print((task / "comm").read_text().strip())
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
@pytest.mark.parametrize("given", [None, "1"], ids=["as it is", "said by the operator"])
def test_numpy_brings_no_threads(given: str | None) -> None:
    """Besides the allocator's, a process that serves has one thread, however many cores."""
    environment = {name: value for name, value in os.environ.items() if "_THREADS" not in name}
    environment |= {} if given is None else {"OPENBLAS_NUM_THREADS": given}
    ran = subprocess.run(
        [sys.executable, "-c", NAMES],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len([name for name in ran.stdout.split() if not name.startswith("jemalloc")]) == 1
