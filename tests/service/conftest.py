"""The real service, and an engine without one, for the tests of this package."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from running_service import RunningService, serving

from service.config import Environment, load_config, prepare_config
from service.engine.engine import Engine
from service.metrics import Balance
from service.tag.tokens import Keys

Serve = Callable[[Path, Callable[[Path], None]], AbstractContextManager[RunningService]]


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Give what serves a folder; the second argument changes the example configuration first."""
    return serving


@pytest.fixture
def engine(database: Any, tmp_path: Path) -> Iterator[Engine]:
    """Give an engine on a new installation."""
    made = Engine(
        environment=Environment(data=tmp_path, timezone=ZoneInfo("UTC")),
        config=load_config(prepare_config(tmp_path)),
        clickhouse=database,
        keys=Keys.load_or_create(tmp_path / "keys.toml"),
        balance=Balance(),
    )
    made.open()
    yield made
    made.jobs.stop()
