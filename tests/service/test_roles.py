"""Split roles on one data directory: what was acknowledged is kept once, whoever dies."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from running_service import free_port
from warm_program import WarmChild, run_warm, start_warm

from service.doctor import doctor
from service.engine.clickhouse import take_lock
from service.tag.record import MAGIC, Kind, Meta, write_record
from service.tag.spool import count_records
from service.tag.tag_state import TagStateFile, write_tag_state

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

ADMIN_KEY = "jk_admin-of-this-test-of-roles"
SERVER_KEY = "the server key of the demo site"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
WAIT_S = 60
HTTP = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)
"""A new connection for each request, so that every worker of a shared port gets some."""


class House:
    """A data directory and the processes on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port, self.tag_port = free_port(), free_port()
        self.environment = os.environ | {
            "JUMELLE_DATA": str(self.data),
            "JUMELLE_ADMIN_KEY": ADMIN_KEY,
            "JUMELLE_DEMO_SERVER_KEY": SERVER_KEY,
            "JUMELLE_URL": self.url,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tag_url(self) -> str:
        return f"http://127.0.0.1:{self.tag_port}"

    def runs(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return run_warm(words, self.environment)

    def ticks_every(self, seconds: str) -> None:
        """Write the configuration, with another pace of the engine."""
        assert self.runs("check").returncode == 0
        path = self.data / "config" / "service.toml"
        path.write_text(path.read_text().replace("tick_seconds = 3.0", f"tick_seconds = {seconds}"))

    def starts(self, role: str, *words: str) -> WarmChild:
        """Start a role; its log is appended to `ROLE.log`."""
        log = self.folder / f"{role}.log"
        return start_warm(["serve", "--role", role, *words], self.environment, stderr=log)

    def log(self, role: str) -> str:
        """Give all that a role logged."""
        return (self.folder / f"{role}.log").read_text()

    @contextmanager
    def serves(self, role: str) -> Iterator[WarmChild]:
        """Serve a role until the end of the block."""
        port, url = ("--port", self.url) if role != "tag" else ("--tag-port", self.tag_url)
        words = ["--tag-workers", "2"] if role == "tag" else []
        child = self.starts(role, port, url.rsplit(":", 1)[1], *words)
        try:
            self.waits(lambda: HTTP.get(f"{url}/livez").status_code == 200, child)
            yield child
        finally:
            child.terminate()
            try:
                child.wait(timeout=30)
            finally:
                child.kill()
                child.wait()

    def waits(self, for_: Callable[[], bool], child: WarmChild | None = None) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            assert child is None or child.poll() is None, [
                path.read_text() for path in self.folder.glob("*.log")
            ]
            try:
                if for_():
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError("it did not come to hold")

    def loads(self) -> None:
        """Load everything that waits."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        run = HTTP.post(f"{self.url}/api/jobs/load/run", headers=headers).json()["id"]

        def ended() -> bool:
            found = HTTP.get(f"{self.url}/api/jobs?run={run}", headers=headers).json()["jobs"]
            assert found[0]["status"] != "failed", found
            return bool(found[0]["status"] == "ok")

        self.waits(ended)

    def ready(self, url: str) -> dict[str, Any]:
        """Ask a process how it is."""
        found: dict[str, Any] = HTTP.get(f"{url}/readyz").json()
        return found


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Give an empty house."""
    return House(tmp_path)


class Sender:
    """Sends messages and remembers which were acknowledged."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._number = 0
        self.acknowledged: list[str] = []

    def sends(self, requests: int, messages: int = 5) -> None:
        """Send batches as an SDK does and note what was acknowledged."""
        for _ in range(requests):
            names = [f"m{self._number + index}" for index in range(messages)]
            self._number += messages
            batch = [
                {"type": "page", "messageId": name, "anonymousId": f"someone-{name}"}
                for name in names
            ]
            answer = HTTP.post(
                f"{self._url}/v1/batch",
                json={"batch": batch},
                auth=("demo", ""),
                headers={"User-Agent": AGENT},
            )
            assert answer.status_code == 200, answer.text
            self.acknowledged += names


COUNT = """
import sys, json
from pathlib import Path
from service.engine.clickhouse import ClickHouse
house = ClickHouse(Path(sys.argv[1]))
query = '''
select chunk, row, toString(message_hash), splitByChar('-', name)[2] as writer
from events inner join chunks using (chunk)
'''
print(json.dumps(house.client().query(query).result_rows))
house.close()
"""


def rows_of_events(house: House) -> list[list[Any]]:
    """Read events with their writers once no process has the database any more."""
    found = subprocess.run(
        [sys.executable, "-c", COUNT, str(house.data)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    rows: list[list[Any]] = json.loads(found.stdout)
    return rows


def test_what_was_acknowledged_is_kept_once(house: House) -> None:
    """Two tag workers and a killed engine: every acknowledged message is one event."""
    house.ticks_every("0.5")
    with house.serves("engine") as engine:
        house.waits(lambda: house.ready(house.url)["status"] == "ok", engine)
        with house.serves("tag") as tag:
            house.waits(lambda: HTTP.get(f"{house.tag_url}/readyz").status_code == 200, tag)
            sender = Sender(house.tag_url)
            sender.sends(60)
            house.waits(lambda: len(list(house.data.glob("spool/w*"))) == 3)
            house.waits(lambda: _has_loaded(house))
            sender.sends(40)
            engine.send_signal(signal.SIGKILL)
            engine.wait()
            sender.sends(60)
            _grows_old(house)
            house.waits(lambda: "tag state is old" in str(house.ready(house.tag_url)["problems"]))
            found = house.ready(house.tag_url)
            assert found["balance_of"].startswith("door")
            assert found["balance_holds"]
            sender.sends(20)
            with house.serves("engine"):
                sender.sends(20)
                tag.terminate()
                assert tag.wait(timeout=30) == 0
                house.loads()
                found = house.ready(house.url)
                assert found["status"] == "ok", found
                assert found["balance_of"].startswith("loads")
                assert found["in_spool"] == 0
                assert found["received"] == found["stored"] + found["duplicates"]
    rows = rows_of_events(house)
    assert len(sender.acknowledged) == 1000
    assert len({(chunk, row) for chunk, row, *_ in rows}) == len(rows) == 1000
    assert len({message for _, _, message, _ in rows}) == 1000
    assert {writer for *_, writer in rows} == {"w0", "w1"}
    _log_names_nobody(house.log("tag") + house.log("engine"))


def test_a_tag_worker_that_ends_is_started_again(house: House) -> None:
    """A killed worker is told of in the log, and another one takes its place and its records."""
    with house.serves("tag"):
        house.waits(lambda: bool(list(house.data.glob("spool/w1-*"))))
        (first,) = house.data.glob("spool/w1-*")
        os.kill(int(first.name.rsplit("-", 1)[1]), signal.SIGKILL)
        house.waits(lambda: len(list(house.data.glob("spool/w1-*"))) == 2)
    assert "a tag process ended and is started again" in house.log("tag")


def _has_loaded(house: House) -> bool:
    return bool(house.ready(house.url)["stored"])


def _grows_old(house: House) -> None:
    """Date the published state back, as if the engine had been away for a while."""
    path = house.data / "tag-state"
    state = TagStateFile(path).refresh()
    write_tag_state(path, msgspec.structs.replace(state, published_s=state.published_s - 61))


def _log_names_nobody(log: str) -> None:
    lines = [json.loads(line) for line in log.splitlines() if line]
    assert lines
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    assert "someone-" not in log
    assert ADMIN_KEY not in log
    assert SERVER_KEY not in log


def test_a_second_engine_is_told_who_has_the_data(house: House) -> None:
    """A second process on the same data directory ends at once, with exit code 1, and why."""
    with house.serves("engine") as engine:
        second = house.runs("serve", "--role", "all", "--port", str(free_port()))
        assert second.returncode == 1
        assert f"is in use by process {engine.pid}: stop it, or set JUMELLE_DATA" in second.stderr
        seen = json.loads(house.runs("doctor", "--json").stdout)
        assert seen["running"] is True
        assert seen["readyz"]["status"] == "ok"
    seen = json.loads(house.runs("doctor", "--json").stdout)
    assert seen["running"] is False
    assert seen["records_waiting"] == 0


def test_doctor_says_when_the_service_does_not_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data directory that is in use by something that does not answer is an error."""
    lock = take_lock(house.data)
    for name in ("JUMELLE_DATA", "JUMELLE_URL"):
        monkeypatch.setenv(name, house.environment[name])
    result = CliRunner().invoke(doctor, [])
    lock.close()
    assert result.exit_code == 1
    assert "is in use, but" in result.output


def test_check_shows_all_faults_at_once(house: House) -> None:
    """Three faults in three files are three lines, each with file and path; exit code 2."""
    assert house.runs("check").returncode == 0
    config = house.data / "config"
    (config / "sites" / "demo.toml").write_text('key = "demo"\nwrite_key = 5\n')
    (config / "service.toml").write_text('tick_seconds = "often"\n')
    seat = next((config / "seats").glob("*.toml"))
    seat.write_text(re.sub(r"min_size = \d+", 'min_size = "few"', seat.read_text()))
    found = house.runs("check")
    assert found.returncode == 2
    for path, place in (
        (config / "sites" / "demo.toml", "$.write_key"),
        (config / "service.toml", "$.tick_seconds"),
        (seat, "$.min_size"),
    ):
        (line,) = [each for each in found.stderr.splitlines() if each.startswith(f"{path}: ")]
        assert place in line
    assert Counter(found.stdout.splitlines()) == Counter()


def _put_by_hand(house: House, *bodies: bytes) -> None:
    """Put a chunk into the spool as a writer of another time would have left it."""
    folder = house.data / "spool" / "by-hand"
    folder.mkdir()
    meta = Meta(site="demo", type="page", agent=AGENT)
    now_us = time.time_ns() // 1000
    records = [write_record(Kind.MESSAGE, now_us, b"v" * 16, meta, body) for body in bodies]
    (folder / "00000001.chunk").write_bytes(MAGIC + b"".join(records))


def _send_what_tells_of_people(house: House) -> None:
    message = {
        "type": "identify",
        "messageId": "m1",
        "userId": "customer-4711",
        "anonymousId": "browser-0815",
        "traits": {"email": "paul@example.com", "phone": "+33612345678"},
    }
    headers = {"Cookie": "jml=cookie-of-paul", "X-Forwarded-For": "198.51.100.23"}
    for body in ({"batch": [message]}, {"batch": [{"type": "no type", "userId": "p@example.com"}]}):
        HTTP.post(f"{house.url}/v1/batch", json=body, auth=("demo", ""), headers=headers)


def test_bad_records_an_alarm_and_a_log_without_people(house: House) -> None:
    """Bad records are tried again once, a vanished chunk raises the alarm, the log names nobody."""
    house.ticks_every("600.0")
    with house.serves("all") as child:
        house.waits(lambda: house.ready(house.url)["status"] == "ok", child)
        _put_by_hand(house, b'{"messageId":"m0"}', b'{broken "paul@example.com"')
        _send_what_tells_of_people(house)
        house.loads()
        assert house.ready(house.url)["bad"] == 1
        assert [json.loads(house.runs("bad", "replay", "--json").stdout) for _ in range(2)] == [
            {"replayed": 1},
            {"replayed": 0},
        ]
        house.loads()
        found = json.loads(house.runs("bad", "list", "--json").stdout)["bad"]
        assert [(each["replayed"], each["body"][:7]) for each in found] == [
            (False, "{broken"),
            (True, "{broken"),
        ]
        assert house.ready(house.url)["balance_holds"]
        _send_what_tells_of_people(house)
        house.waits(lambda: bool(list(house.data.glob("spool/w*/*.chunk"))))
        vanished = next(house.data.glob("spool/w*/*.chunk"))
        lost = count_records(vanished)  # the message, and the two contacts that it names
        vanished.unlink()
        house.loads()
        ready = house.ready(house.url)
        assert (lost, ready["status"], ready["off"]) == (3, "degraded", 3)
        assert "the balance is off by 3 records" in ready["problems"][0]
        assert "jumelle_balance_off 3.0" in HTTP.get(f"{house.url}/metrics").text
    _log_names_nobody(house.log("all"))
    for told in ("paul", "example.com", "4711", "0815", "198.51", "cookie-of", "+336"):
        assert told not in house.log("all"), told
