"""The demo with so few households that no audience can be a seed plays to its end all the same."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from running_service import ADMIN_KEY, free_port

from service.demo.summary import Summary

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

HOUSEHOLDS = 40


def test_few_households_play_without_a_lookalike(tmp_path: Path) -> None:
    """It says that the lookalike is left out and why, prints its tables, and keeps its summary."""
    data = tmp_path / "data"
    command = [sys.executable, "-m", "service.cli", "demo", "--once", "--port", str(free_port())]
    played = subprocess.run(
        [*command, "--data", str(data), "--households", str(HOUSEHOLDS)],
        env=os.environ | {"JUMELLE_DATA": str(data), "JUMELLE_ADMIN_KEY": ADMIN_KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stderr
    assert "Lookalike: left out, no audience has 100 people" in played.stderr
    assert "Audiences, and whom each seat can reach" in played.stdout
    summary = msgspec.json.decode((data / "demo-summary.json").read_bytes(), type=Summary)
    assert summary.customers == HOUSEHOLDS
    assert "twins" not in {each.key for each in summary.audiences}
