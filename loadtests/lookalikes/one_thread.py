"""Starts a script again with one thread for matrices, so that CPU seconds compare."""

import os
import sys
from typing import Final

SETTING: Final = "OPENBLAS_NUM_THREADS"


def keep_to_one_thread() -> None:
    """Start this process anew unless it keeps to one thread already."""
    if os.environ.get(SETTING) != "1":
        command = [sys.executable, *sys.argv]
        os.execve(sys.executable, command, {**os.environ, SETTING: "1"})  # noqa: S606 - itself
