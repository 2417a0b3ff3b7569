"""Writes a script's row into README.md: its question, its figure, the machine, versions, the date.

A row of the same script is replaced, a new one follows the last; nothing else changes.
"""

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

README: Final = Path(__file__).parent / "README.md"
ROW: Final = re.compile(r"^\| .* \| \d{4}-\d\d-\d\d \|$")


def write_row(script: str, figure: str, *versions: str) -> None:
    """Write the row of `script`, whose file name is its question."""
    name = Path(script).name
    question = Path(script).stem.replace("_", " ")
    machine = ", ".join([*_machine(), *versions])
    row = f"| {question} | `{name}` | {figure} ({machine}) | {datetime.now(UTC):%F} |"
    lines = README.read_text().splitlines()
    rows = [at for at, line in enumerate(lines) if ROW.search(line)]
    mine = [at for at in rows if f"| `{name}` |" in lines[at]]
    if mine:
        lines[mine[0]] = row
    else:
        lines.insert(rows[-1] + 1, row)
    README.write_text("\n".join(lines) + "\n")


def _machine() -> list[str]:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    kind = re.sub(r"\((R|TM)\)", "", found[1]) if found else platform.machine()
    return [f"{os.cpu_count()} cores of {kind}", f"Python {platform.python_version()}"]
