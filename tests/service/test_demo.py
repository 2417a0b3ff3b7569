"""The demo, played small: the public command tells the whole story and leaves seat files behind."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

HOUSEHOLDS = 500


def two_free_ports() -> int:
    """Find a port P such that nobody listens on P and P + 1."""
    while True:
        with socket.socket() as probe, socket.socket() as next_probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            try:
                next_probe.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def test_the_demo_tells_what_it_did(tmp_path: Path) -> None:
    """`jumelle demo --once --json` prints one object whose numbers agree, and ends with 0."""
    data = tmp_path / "data"
    words = ["demo", "--once", "--json", "--households", str(HOUSEHOLDS), "--data", str(data)]
    played = subprocess.run(
        [sys.executable, "-m", "service.cli", *words, "--port", str(two_free_ports())],
        env={name: text for name, text in os.environ.items() if not name.startswith("JUMELLE_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stderr
    summary = json.loads(played.stdout)
    assert summary["customers"] == HOUSEHOLDS
    assert HOUSEHOLDS <= summary["visitors"] <= 3 * HOUSEHOLDS
    assert summary["people"] >= summary["customers"]
    assert summary["events"] > 10 * HOUSEHOLDS
    rates = {each["key"]: each["match_rate"] for each in summary["partners"]}
    assert set(rates) == {"xandr", "the_trade_desk", "pixel"}
    assert 0.5 < rates["pixel"] < rates["the_trade_desk"] < rates["xandr"] < 1
    assert {each["key"] for each in summary["audiences"]} >= {"bought_last_week", "twins"}
    seats = {each["seat"]: each for each in summary["files"]}
    assert set(seats) == {"xandr_958", "ttd_demo", "pixel_csv"}
    for found in seats.values():
        path = Path(found["path"])
        assert path.stat().st_size > 0
        assert found["adds"] > 0
        assert list(path.parent.glob("*.manifest.json"))
