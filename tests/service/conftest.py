"""The real service for the tests of this package."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from running_service import RunningService, serving

Serve = Callable[[Path, Callable[[Path], None]], AbstractContextManager[RunningService]]


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Give what serves a folder; the second argument changes the example configuration first."""
    return serving
