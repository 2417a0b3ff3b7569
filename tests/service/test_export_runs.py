"""Hold-outs, holds, releases and resends over the API and the commands, of the real service."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from running_service import RunningService, serving
from warm_program import run_warm

from audiences.exports.waterfall import STAGE_OF
from service.engine.addressability import Addressability

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

DEFINITION = {"name": "All", "rule": {"type": "everyone"}, "min_size": 0}
PATH = "/api/audiences/all/seats/pixel_csv"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Serve one customer and an audience of everybody, active on one seat."""
    with serving(tmp_path_factory.mktemp("runs")) as running:
        running.call("POST", "/api/customers/import?format=csv", content="crm_id\n123456\n")
        running.runs("/api/jobs/load/run")
        running.call("PUT", "/api/audiences/all", json=DEFINITION)
        running.runs("/api/audiences/all/build")
        running.call("PUT", PATH, json={"segment": "s1", "holdout_percent": 10})
        yield running


def jumelle(service: RunningService, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run one command against the service."""
    environment = os.environ | service.environment | {"JUMELLE_URL": service.url}
    return run_warm(words, environment)


def test_every_answer_of_the_card_has_a_stage() -> None:
    """No reason of the card is missing in the waterfall of a run."""
    lost = {each.value for each in Addressability} - {"addressable"}
    assert set(STAGE_OF) == lost | {"held_out"}


@pytest.mark.parametrize("percent", [-1, 51, "many"])
def test_a_control_group_is_at_most_half(service: RunningService, percent: Any) -> None:
    """A hold-out lies between 0 and 50 per cent."""
    asked = {"segment": "s1", "holdout_percent": percent}
    assert service.api.put(PATH, json=asked).status_code == httpx.codes.BAD_REQUEST


def test_a_seat_shows_its_control_groups_and_its_hold(service: RunningService) -> None:
    """What was activated and why a seat is held can be read back; lifting twice finds nothing."""
    path = "/api/seats/pixel_csv"
    (active,) = service.call("GET", path)["activations"]
    assert active["holdout_percent"] == 10
    service.call("PUT", f"{path}/hold", json={"reason": "the partner moves"})
    assert service.call("GET", path)["hold"] == "the partner moves"
    service.call("DELETE", f"{path}/hold")
    assert service.call("GET", path)["hold"] == ""
    assert service.api.delete(f"{path}/hold").status_code == httpx.codes.NOT_FOUND
    assert service.api.put("/api/seats/none/hold", json={}).status_code == httpx.codes.NOT_FOUND


@pytest.mark.parametrize(
    "asked",
    [
        {"release": True},
        {"resend": True},
        {"hold": True},
        {"seats": ["pixel_csv"], "hold": True, "release": True},
        {"seats": ["pixel_csv"], "hold": True, "dry_run": True},
    ],
    ids=str,
)
def test_contradictory_wishes_are_refused(service: RunningService, asked: dict[str, Any]) -> None:
    """What would touch every seat by accident, or means two things, is no request."""
    assert service.api.post("/api/exports", json=asked).status_code == httpx.codes.BAD_REQUEST


def test_a_run_tells_its_waterfall(service: RunningService) -> None:
    """The report of a run has each stage of each segment; nobody of the audience has a browser."""
    run = service.runs("/api/exports", json={"seats": ["pixel_csv"], "dry_run": True})
    (seat,) = service.call("GET", f"/api/exports/{run}")["seats"]
    (segment,) = seat["segments"]
    stages = {each["stage"]: each for each in segment["waterfall"]}
    assert list(stages) == [
        *("members", "browsers", "live_ids", "consent", "suppression", "hold_out", "sent")
    ]
    assert (stages["members"]["people"], stages["sent"]["people"]) == (1, 0)
    assert stages["browsers"]["lost"] == [{"reason": "no_browser", "people": 1}]


def test_commands_hold_and_release(service: RunningService) -> None:
    """Who holds is told how to release; who finds a seat held is told by the exit code too."""
    held = jumelle(service, "export", "run", "pixel_csv", "--hold")
    assert (held.returncode, "--release" in held.stderr) == (0, True), held.stderr
    found = jumelle(service, "export", "run", "pixel_csv")
    assert (found.returncode, "--release" in found.stderr) == (4, True), found.stderr
    assert service.call("GET", "/api/seats/pixel_csv")["hold"] == "by hand"
    dry = jumelle(service, "export", "run", "pixel_csv", "--dry-run", "--release")
    assert dry.returncode == 0, dry.stderr
    assert service.call("GET", "/api/seats/pixel_csv")["hold"] == "by hand"
    released = jumelle(service, "export", "run", "pixel_csv", "--release")
    assert released.returncode == 0, released.stderr
    assert service.call("GET", "/api/seats/pixel_csv")["hold"] == ""
    newest = service.call("GET", "/api/exports")["exports"]
    statuses = [each["status"] for each in newest[:4]]
    assert statuses == ["below_minimum", "below_minimum", "held", "held"]
    shown = jumelle(service, "export", "show", str(newest[0]["run"]))
    assert "no_browser 1" in shown.stdout
