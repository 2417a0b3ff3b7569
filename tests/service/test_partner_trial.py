"""A trial of a partner that answers strangely: redirects that lose their way, errors, silence."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import msgspec
import pytest

from matching.partners import Partner, known_facts
from service.engine.partner_trial import TrialOutcome, try_partner
from service.tag.tokens import Keys

KEYS = Keys({1: bytes(32)})
BASE = "https://t.shop.example"
FACTS = known_facts("pixel") | {"key": "pixel", "name": "P", "id_space": "pixel", "enabled": True}


class Strange:
    """A server on loopback whose every path answers in one strange way."""

    def __init__(self) -> None:
        places = {
            "/loop": "/loop",
            "/inside": "http://169.254.169.254/latest/meta-data",
            "/named_inside": "http://[::1]:9/",
            "/script": "javascript:alert(1)",
            "/elsewhere": "https://old.shop.example/setuid?bidder=pixel&t=x&uid=abcd1234",
            "/foreign_token": f"{BASE}/setuid?bidder=pixel&t=x&uid=abcd1234",
            "/no_token": f"{BASE}/setuid?bidder=pixel&uid=abcd1234",
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                self.send_response(302 if path in places else 404)
                if path in places:
                    self.send_header("Location", places[path])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def strange() -> Iterator[Strange]:
    """Serve the strange partner."""
    with Strange() as server:
        yield server


def partner(url: str) -> Partner:
    """Make a partner whose sync begins at this address."""
    sync = FACTS["sync"] | {"url_template": f"{url}?redir={{redirect}}{{consent_params}}"}
    return msgspec.convert(FACTS | {"sync": sync}, Partner)


CASES = {
    "/loop": (TrialOutcome.TOO_MANY_HOPS, 6),
    "/inside": (TrialOutcome.PRIVATE_ADDRESS, 1),
    "/named_inside": (TrialOutcome.PRIVATE_ADDRESS, 1),
    "/script": (TrialOutcome.PRIVATE_ADDRESS, 1),
    "/elsewhere": (TrialOutcome.ELSEWHERE, 2),
    "/foreign_token": (TrialOutcome.TOKEN_LOST, 2),
    "/no_token": (TrialOutcome.TOKEN_LOST, 2),
    "/gone": (TrialOutcome.REFUSED, 1),
}


@pytest.mark.parametrize("path", CASES)
def test_a_partner_that_loses_its_way_is_told_why(strange: Strange, path: str) -> None:
    """Each verdict names what happened, and no private address is ever called."""
    trial = try_partner(partner(f"{strange.base}{path}"), base=BASE, keys=KEYS)
    outcome, hops = CASES[path]
    assert (trial.outcome, len(trial.hops)) == (outcome, hops)
    assert not trial.outcome.is_good
    assert trial.detail


def test_a_partner_that_is_not_there_is_unreachable() -> None:
    """A port where nobody listens ends the trial at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/sync"
        trial = try_partner(partner(url), base=BASE, keys=KEYS)
    assert trial.outcome is TrialOutcome.UNREACHABLE
    assert [hop.status for hop in trial.hops] == [0]
