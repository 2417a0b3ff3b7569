"""Writes a script's row into README.md: its question, its figure, the machine, versions, the date.

A row of the same script is replaced; nothing else of the page changes.
"""

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

README: Final = Path(__file__).parent / "README.md"


def write_row(script: str, figure: str, *versions: str) -> None:
    """Write the row of `script`, whose file name is its question."""
    name = Path(script).name
    question = Path(script).stem.replace("_", " ")
    machine = ", ".join([*_machine(), *versions])
    row = f"| {question} | `{name}` | {figure} ({machine}) | {datetime.now(UTC):%F} |"
    lines = [line for line in README.read_text().splitlines() if f"`{name}`" not in line]
    README.write_text("\n".join([*lines, row]) + "\n")


def _machine() -> list[str]:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    kind = re.sub(r"\((R|TM)\)", "", found[1]) if found else platform.machine()
    return [f"{os.cpu_count()} cores of {kind}", f"Python {platform.python_version()}"]
