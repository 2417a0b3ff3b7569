"""Who refuses purpose 10, that products be improved by its data, is no twin and in no seed."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from consent_strings import tc_string

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
AGREES, REFUSES = "Agrees", "Refuses"
GROUPS: Final = {
    ("Joined", AGREES): 100,
    ("Joined", REFUSES): 10,
    ("Alike", AGREES): 40,
    ("Alike", REFUSES): 30,
    ("Other", AGREES): 120,
}
BIKES: Final = {"Joined": "bikes", "Alike": "bikes", "Other": "books"}


class Browser:
    """A browser of a group, which keeps its cookie."""

    def __init__(self, url: str, http: httpx.Client, group: str, answer: str) -> None:
        self.answer = answer
        self.is_asked = answer == REFUSES or group == "Alike"
        self._send = f"{url}/t?key=demo"
        self._http = http
        product = {"product_id": "p", "category": BIKES[group]}
        self._cookie = ""
        self._cookie = self.tells(
            {"type": "track", "event": group},
            {"type": "track", "event": answer},
            {"type": "track", "event": "Product Viewed", "properties": product},
        )

    def tells(self, *messages: dict[str, Any]) -> str:
        """Send messages and give the cookie that was set."""
        headers = {"User-Agent": AGENT} | ({"Cookie": self._cookie} if self._cookie else {})
        body = [each | {"messageId": f"{id(self)} {time.time_ns()}"} for each in messages]
        answer = self._http.post(self._send, json=body, headers=headers)
        assert answer.status_code == httpx.codes.NO_CONTENT
        self._http.cookies.clear()
        return str(answer.headers.get("set-cookie", "")).partition(";")[0]

    def decides(self) -> None:
        """Answer the platform's question: all but purpose 10, or that one too."""
        purposes = (1, 3, 4, 9) if self.answer == REFUSES else (1, 3, 4, 9, 10)
        text = tc_string(*purposes, at_ms=time.time_ns() // 1_000_000 // 86_400_000 * 86_400_000)
        said = {"tcf": text, "gdpr": True}
        self.tells({"type": "track", "event": "Answered", "context": {"consent": said}})


@pytest.fixture(scope="module")
def served(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Serve the example configuration."""
    folder: Path = tmp_path_factory.mktemp("lookalikes")
    with serve(folder, lambda _: None) as running:
        yield running


def preview(served: Any, **more: Any) -> Any:
    """Ask for twins of those who joined."""
    return served.call("POST", "/api/lookalikes/preview", json={"seed": "joined", **more})


def twins_who(served: Any, event: str) -> int:
    """Count the twins who did something."""
    rules = [{"type": "in_audience", "audience": "twins"}, {"type": "did", "event": event}]
    found = served.call("POST", "/api/preview", json={"rule": {"type": "all", "of": rules}})
    return int(found["size"])


def test_nobody_is_a_twin_or_learnt_from_against_its_will(served: Any) -> None:
    """At first all are; after the refusals neither the preview nor the audience holds one of them.

    The refusals are of purpose 10 alone, so all stay in every other audience.
    """
    with httpx.Client() as http:
        browsers = [
            Browser(served.url, http, group, answer)
            for (group, answer), count in GROUPS.items()
            for _ in range(count)
        ]
        rule = {"type": "did", "event": "Joined"}
        served.call("PUT", "/api/audiences/joined", json={"name": "Joined", "rule": rule})
        served.loads()
        before = preview(served, size=190)
        twins = {"name": "Twins", "seed": "joined", "size": 190}
        size_before = served.call("PUT", "/api/lookalikes/twins", json=twins)["size"]
        alike_before = twins_who(served, REFUSES)
        for each in browsers:
            if each.is_asked:
                each.decides()
    served.loads()
    assert twins_who(served, REFUSES) == 0  # before anybody finds twins anew
    after = preview(served, size=190)
    size_after = served.call("PUT", "/api/lookalikes/twins", json=twins)["size"]
    assert (before["seed"], after["seed"]) == (110, 100)
    assert (size_before, size_after) == (190, 160)
    assert (alike_before, twins_who(served, REFUSES)) == (30, 0)
    assert twins_who(served, AGREES) == 160
    joined = served.call("POST", "/api/preview", json={"rule": rule})
    assert joined["size"] == 110
