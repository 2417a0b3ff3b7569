"""Two audiences' sketches, made by a service of ids it could send, tell how many they share."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from running_service import SERVER_KEY

from service.cli_lookalikes import lookalike

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

PHONES: Final = 4_500
RUNNERS: Final = range(3_000)
RIDERS: Final = range(1_500, 4_500)
SHARED: Final = 1_500


def _declare_seat(config: Path) -> None:
    text = (config / "seats" / "pixel_csv.toml").read_text()
    text = text.replace('"pixel_csv"', '"phones"').replace('["pixel"]', '["idfa"]')
    (config / "seats" / "phones.toml").write_text(text)


@pytest.fixture(scope="module")
def served(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Serve phones of runners and of riders, half of whom are the same."""
    with serve(tmp_path_factory.mktemp("sketches"), _declare_seat) as running:
        messages = [_did(phone, "Ran") for phone in RUNNERS]
        messages += [_did(phone, "Rode") for phone in RIDERS]
        for first in range(0, len(messages), 400):
            body = {"batch": messages[first : first + 400]}
            url = f"{running.url}/v1/batch"
            answer = httpx.post(url, json=body, auth=(SERVER_KEY, ""), timeout=60)
            assert answer.status_code == httpx.codes.OK, answer.text
        running.loads()
        for key, event in (("runners", "Ran"), ("riders", "Rode")):
            rule = {"type": "did", "event": event}
            running.call("PUT", f"/api/audiences/{key}", json={"name": key, "rule": rule})
            running.runs(f"/api/audiences/{key}/build")
        yield running


def _did(phone: int, event: str) -> dict[str, Any]:
    advertising_id = str(uuid.UUID(int=phone + (0xA << 96)))
    return {
        "type": "track",
        "event": event,
        "anonymousId": f"phone-{phone}",
        "context": {"device": {"type": "ios", "advertisingId": advertising_id}},
    }


def test_two_sketches_tell_how_many_they_share(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line makes both files and compares them; the truth lies within the bounds."""
    monkeypatch.setenv("JUMELLE_URL", served.url)
    key = served.api.headers["Authorization"].removeprefix("Bearer ")
    monkeypatch.setenv("JUMELLE_API_KEY", key)
    (tmp_path / "salt").write_text("a salt agreed upon\n")
    for audience in ("runners", "riders"):
        asked = ["sketch", audience, "--seat", "phones", "--salt-file", str(tmp_path / "salt")]
        made = CliRunner().invoke(lookalike, [*asked, "--out", str(tmp_path / audience)])
        assert made.exit_code == 0, made.output
        sketch = msgspec.json.decode((tmp_path / audience).read_bytes())
        assert (sketch["id_space"], sketch["people"]) == ("idfa", 3_000)
    files = [str(tmp_path / audience) for audience in ("runners", "riders")]
    said = CliRunner().invoke(lookalike, ["overlap", *files, "--json"])
    assert said.exit_code == 0, said.output
    found = msgspec.json.decode(said.output)
    assert found["shared_least"] <= SHARED <= found["shared_most"]
    assert 0.5 * SHARED < found["shared"] < 1.5 * SHARED
