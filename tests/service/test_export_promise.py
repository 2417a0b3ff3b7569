"""The ids that a preview promises are those of a full file: all of the demo, both identities.

The demo is played once with a part of its households; then its service is started again.
"""

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from running_service import ADMIN_KEY, RunningService, free_port, wait_until_ready

from audiences.exports.formats.choose import writer_of
from audiences.exports.formats.parts import Group
from audiences.exports.manifest import manifest_name, read_manifest
from audiences.exports.seats import Seat, load_seats
from matching.people import Identity

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

HOUSEHOLDS: Final = 150
SEATS: Final = ("pixel_csv", "ttd_demo", "xandr_958")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Play the demo, let its seats take the smallest audience, and serve its data again."""
    folder = tmp_path_factory.mktemp("promise")
    data, port = folder / "data", free_port()
    environment = os.environ | {"JUMELLE_DATA": str(data), "JUMELLE_ADMIN_KEY": ADMIN_KEY}
    played = ["demo", "--once", "--data", str(data), "--households", str(HOUSEHOLDS)]
    command = [sys.executable, "-m", "service.cli"]
    subprocess.run([*command, *played], env=environment, check=True, capture_output=True)
    for path in (data / "config" / "seats").glob("*.toml"):
        path.write_text(path.read_text().replace("min_size = 100", "min_size = 0"))
    with (folder / "log").open("wb") as log:
        served = [*command, "serve", "--port", str(port)]
        child = subprocess.Popen(served, env=environment, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, child, folder / "log")
        with closing(RunningService(url, data, child, environment)) as running:
            yield running
    finally:
        child.terminate()
        child.wait(timeout=30)


def audiences_of(demo: RunningService) -> list[dict[str, Any]]:
    """Give the definitions of the demo's audiences that are rules, and hold people."""
    found: list[dict[str, Any]] = demo.call("GET", "/api/audiences")["audiences"]
    is_person = Identity.LAST_AUTHENTICATED
    return [each for each in found if each["rule"] is not None and each["identity"] == is_person]


def ids_in(folder: Path, seat: Seat, run: int) -> dict[str, set[str]]:
    """Read a run's files as the partner would: the ids of each segment."""
    manifest = read_manifest(folder / seat.key / manifest_name(seat.key, run))
    found: dict[str, set[str]] = {}
    for part in manifest.files:
        data = (folder / seat.key / part.name).read_bytes()
        plain = zlib.decompress(data, 31) if part.name.endswith(".gz") else data
        group = Group(part.segment, part.action, part.id_space)
        for row in writer_of(seat).read([plain], seat, [group]):
            for segment, _ in row.adds:
                found.setdefault(segment, set()).add(row.id)
    return found


@pytest.mark.parametrize("identity", Identity)
def test_a_full_file_holds_what_the_preview_promised(
    demo: RunningService, identity: Identity
) -> None:
    """Each demo audience under each identity reaches on each seat the people and ids foretold."""
    promised: dict[str, dict[str, Any]] = {}
    for number, each in enumerate(audiences_of(demo), 100 + 100 * list(Identity).index(identity)):
        key, segment = f"{each['key']}_{identity.value}", str(number)
        definition = {"name": key, "rule": each["rule"], "identity": identity, "min_size": 0}
        demo.call("PUT", f"/api/audiences/{key}", json=definition)
        demo.runs(f"/api/audiences/{key}/build")
        asked = {"rule": each["rule"], "identity": identity}
        promised[segment] = demo.call("POST", "/api/preview", json=asked)["seats"]
        for seat in SEATS:
            path = f"/api/audiences/{key}/seats/{seat}"
            demo.call("PUT", path, json={"segment": segment})
    asked = {"seats": SEATS, "resend": True, "release": True}
    run = demo.runs("/api/exports", json=asked)
    reports = {each["seat"]: each for each in demo.call("GET", f"/api/exports/{run}")["seats"]}
    seats = {each.key: each for each in load_seats(demo.data / "config")}
    compared = 0
    for key in SEATS:
        sent = ids_in(demo.data / "exports", seats[key], run)
        told = {each["segment"]: each for each in reports[key]["segments"]}
        for segment, by_seat in promised.items():
            ids, people = by_seat[key]["ids"], by_seat[key]["people"]
            assert len(sent.get(segment, ())) == ids == told[segment]["ids"], (key, segment)
            assert told[segment]["people"] == people == told[segment]["waterfall"][-1]["people"]
            compared += ids > 0
    assert compared >= len(promised)


def test_the_card_tells_who_is_held_out(demo: RunningService) -> None:
    """Of half an audience the card says that it is held out, and none of it is in the file."""
    each = max(audiences_of(demo), key=lambda found: found["size"])
    path = f"/api/audiences/{each['key']}/seats/xandr_958"
    demo.call("PUT", path, json={"segment": "900", "holdout_percent": 50})
    asked = {"seats": ["xandr_958"], "resend": True, "release": True}
    run = demo.runs("/api/exports", json=asked)
    seats = {each.key: each for each in load_seats(demo.data / "config")}
    sent = ids_in(demo.data / "exports", seats["xandr_958"], run)["900"]
    lines = demo.api.get(f"/api/audiences/{each['key']}/members").text.splitlines()
    told: dict[str, list[str]] = {}
    for member in map(json.loads, lines[:20]):
        card = demo.call("GET", f"/api/identity/{member.get('crm_id') or member['visitor']}")
        (seat,) = (one for one in card["seats"] if one["seat"] == "xandr_958")
        (row,) = (one for one in seat["audiences"] if one["segment"] == "900")
        told.setdefault(row["status"], []).append(seat["detail"]["id"])
    assert {"held", "held_out"} <= told.keys()
    assert set(told["held"]) <= sent
    assert sent.isdisjoint(told["held_out"])
