"""The recipes by which shops mint identify tokens are run, and the service takes their tokens."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from matching.ids import VisitorId
from service.tag import visitor_cookie
from service.tag.collect import Collector
from service.tag.record import MAGIC, Meta, read_records
from service.tag.request import Caller, TagRequest
from service.tag.routes import handle
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys

RECIPES = Path(__file__).parents[1] / "cases" / "recipes"
SECRET = "a secret of at least thirty-two bytes"
KEYS = Keys({1: bytes(range(32))})
LAPTOP, PHONE = VisitorId(bytes([1]) * 16), VisitorId(bytes([2]) * 16)
SITE = Site(
    key="demo",
    write_key="w",
    identify_secret_env="TEST_IDENTIFY_SECRET",
    consent_default="allow",
)
RUN_BY = {
    "identify_token.py": sys.executable,
    "identify_token.mjs": "node",
    "identify_token.php": "php",
    "identify_token.rb": "ruby",
    "IdentifyToken.java": "java",
}
MARKS = {"identify_token.mjs": [pytest.mark.node], "IdentifyToken.java": [pytest.mark.slow]}


def minted(recipe: str, *words: str) -> str:
    """Run a recipe and give the token that it prints."""
    program = shutil.which(RUN_BY[recipe])
    if program is None:
        pytest.skip(f"there is no {RUN_BY[recipe]} on this machine")
    done = subprocess.run(
        [program, str(RECIPES / recipe), "demo", *words],
        env=os.environ | {"IDENTIFY_SECRET": SECRET},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def proved_by(monkeypatch: pytest.MonkeyPatch, token: str, who: VisitorId) -> tuple[str, str]:
    """Send a token as the tag does; give whom it proves, and how."""
    monkeypatch.setenv("TEST_IDENTIFY_SECRET", SECRET)
    state = TagState(published_s=0, sites=(SITE,))
    now_s = int(time.time())
    cookie = f"jml={visitor_cookie.write_cookie(KEYS, who, now_s=now_s)}"
    request = TagRequest(
        method="POST",
        path="/t",
        query="key=w",
        caller=Caller(headers={"host": "t.example", "cookie": cookie}),
        body=json.dumps({"type": "identify", "context": {"token": token}}).encode(),
        received_us=now_s * 1_000_000,
    )
    (kept,) = handle(Collector(state=lambda: state, keys=KEYS), request).records
    (record,) = read_records(MAGIC + kept)
    meta: Meta = record.meta
    return meta.proved, meta.method


@pytest.mark.parametrize(
    "recipe", [pytest.param(each, marks=MARKS.get(each, [])) for each in RUN_BY]
)
def test_a_recipe_mints_what_the_service_takes(
    monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    """Any customer id is proved; a token that names its browser proves nothing at another one."""
    for crm_id in ("123456", 'K-1 "Ü" \\ 7'):
        assert proved_by(monkeypatch, minted(recipe, crm_id), PHONE) == (crm_id, "login")
    bound = minted(recipe, "123456", visitor_cookie.write_reference(KEYS, LAPTOP))
    assert proved_by(monkeypatch, bound, LAPTOP) == ("123456", "login")
    assert proved_by(monkeypatch, bound, PHONE) == ("", "")


def test_every_recipe_is_run() -> None:
    """No file lies among the recipes that no test runs."""
    assert {path.name for path in RECIPES.iterdir() if path.is_file()} == set(RUN_BY)
