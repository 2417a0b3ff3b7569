"""After a run no address, phone or token is readable anywhere in the data directory."""

import json
import re
import subprocess
import sys
import time
from base64 import b64encode
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.tag.tokens import Click, Keys, make_click, make_identify

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

MAIL = "paul@example.com"
PHONE = "+33612345678"
MARK = "a-bicycle-that-must-be-found"
"""Stands beside every address: where it is found, the address would have been found too."""
AGENT = f"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0 ({MAIL})"
DUMP = """
import sys
import clickhouse_connect
client = clickhouse_connect.get_client(interface="chdb", path=sys.argv[1], database="jumelle")
for (table,) in client.query("select name from system.tables where database = 'jumelle'"
                             " and engine like '%MergeTree'").result_rows:
    raw = client.raw_query(f"select * from {table}", fmt="TSVRaw")
    sys.stdout.buffer.write(table.encode() + b"\\n" + raw + b"\\n")
client.close()
"""


def test_contacts_and_tokens_rest_nowhere_in_the_clear(serve: Any, tmp_path: Path) -> None:
    """In waiting chunks, in the database, in files and in the log there is none of them.

    Files for a seat alone hold hashes, as the partner takes them, and nothing that is sealed.
    """
    with serve(tmp_path, _configure) as served:
        secrets = _say_everything(served)
        waiting = _waiting_chunks(served)
        served.call("POST", "/api/customers/import?site=demo&format=csv", content=_crm_file())
        served.loads()
        added, removed = _export(served)
        assert served.call("GET", "/api/identity/123456")["person"] == "customer"
        served.stop()

    dump = subprocess.run(
        [sys.executable, "-c", DUMP, str(served.data / "clickhouse")],
        capture_output=True,
        check=True,
    ).stdout
    files = [path for path in served.data.rglob("*") if path.is_file()]
    places = {
        str(path.relative_to(served.data)): path.read_bytes()
        for path in files
        if path not in {added, removed}
    }
    places |= {"tables": dump, "waiting chunks": waiting, "log": (tmp_path / "log").read_bytes()}
    assert MARK.encode() in dump
    assert MARK.encode() in waiting
    assert _found_in(places, [*secrets, *CRM_SECRETS, *HASHES]) == set()
    _check_sent(added.read_bytes(), removed.read_bytes(), [*secrets, *CRM_SECRETS])


def _found_in(places: dict[str, bytes], secrets: list[str]) -> set[tuple[str, str]]:
    """Find hashes as hex, as base64 and as their very bytes, and all else as text."""
    sought = {secret[:20]: [secret.encode()] for secret in secrets}
    for secret in HASHES:
        sought[secret[:20]] += [b64encode(bytes.fromhex(secret)), bytes.fromhex(secret)]
    return {
        (name, secret)
        for name, content in places.items()
        for secret, forms in sought.items()
        if any(form in content for form in forms)
    }


def _export(served: Any) -> tuple[Path, Path]:
    """Send everybody to a seat, erase one and send what changed; give both files."""
    everyone = {"name": "Everybody", "rule": {"type": "everyone"}}
    served.call("PUT", "/api/audiences/everybody", json=everyone)
    served.call("PUT", "/api/audiences/everybody/seats/meta", json={"segment": "1"})
    served.loads()
    files = []
    for before in (None, "second"):
        if before:
            served.call("POST", "/api/privacy/erase", json={"id": before})
        run = served.runs("/api/exports", json={"seats": ["meta"]})
        (report,) = served.call("GET", f"/api/exports/{run}")["seats"]
        assert report["status"] == "published", report
        files.append(Path(report["path"]))
    added, removed = files
    return added, removed


def _check_sent(added: bytes, removed: bytes, secrets: list[str]) -> None:
    hashes = [sha256(each.encode()).hexdigest().encode() for each in SENT]
    assert [each in added for each in hashes] == [True] * len(SENT)
    assert [each in removed for each in hashes] == [False] * (len(SENT) - 1) + [True]
    clear = [each.encode() for each in secrets if each not in HASHES]
    assert [each for each in clear if each in added + removed] == []
    assert not re.search(rb"[0-9a-f]{96}", added + removed)


def _say_everything(served: Any) -> list[str]:
    """Send contacts and tokens through every door; give what must be found nowhere."""
    now_s = int(time.time())
    login = make_identify(served.identify_secret, site="demo", crm_id="123456", now_s=now_s)
    keys = Keys.load_or_create(served.data / "keys.toml")
    link = make_click(
        keys,
        Click(crm_id="123456", site="demo", target=served.url, expires_s=now_s + 60, nonce=1),
    )
    url = f"https://shop.example/c/{link}?email=paul%40example.com&t={login}"
    page = {"type": "page", "properties": {"url": url, "mark": MARK}}
    texts = {"note": f"call {PHONE} or {MAIL}", MAIL: MARK, "mark": MARK}
    hidden = {"consent": {"explicit": {"store": True, MAIL: True}}, "token": login}
    messages: list[dict[str, Any]] = [
        page,
        {"type": "identify", "userId": "123456", "context": {"token": login}, "traits": texts},
        {"type": "identify", "userId": MAIL, "traits": {"email": MAIL, "phone": "06 12 34 56 78"}},
        {"type": "track", "event": f"Mailed {MAIL}", "properties": texts},
        {"type": "track", "event": MARK, "properties": {"list": [{"deep": f"<{MAIL}>"}]}},
        {"type": "group", "groupId": MAIL, "traits": texts},
        {"type": "alias", "previousId": MAIL, "userId": PHONE},
        {"type": "screen", "name": MAIL, "messageId": MAIL, "context": hidden},
        {"type": "nonsense", "properties": texts},
    ]
    with httpx.Client(base_url=served.url, headers={"User-Agent": AGENT}) as browser:
        for message in messages:
            browser.post("/t?key=demo", content=json.dumps(message))
        browser.get("/p.gif", params={"key": "demo", "event": MARK, "email": MAIL, "u": url})
        browser.get(f"/c/{link}")
        browser.post("/cookie_sync?account=demo", json={"explicit": {"sync": True, MAIL: True}})
        browser.post("/t?key=demo", content=json.dumps(page))
        browser.post("/t?key=demo", content=json.dumps(page)[:-9])
    for key in ("demo", served.server_key):
        named = [{"anonymousId": MAIL, "context": {"userAgent": AGENT}} | each for each in messages]
        basic = "Basic " + b64encode(f"{key}:".encode()).decode()
        answer = httpx.post(
            f"{served.url}/v1/batch", json={"batch": named}, headers={"Authorization": basic}
        )
        assert len(answer.json()["refused"]) == 1
    return [MAIL, "paul%40example.com", "33612345678", "0612345678", "06 12 34 56 78", login, link]


def _waiting_chunks(served: Any) -> bytes:
    """Give the bytes of the spool, open file and all, before anything is loaded."""
    return b"".join(path.read_bytes() for path in (served.data / "spool").glob("*/*"))


def _configure(config: Path) -> None:
    """Name every column, and add a seat that takes contacts of few people."""
    kinds = ("first_name", "last_name", "country", "postal_code", "birth_date")
    named = "".join(f'{kind} = "{kind}"\n' for kind in kinds)
    (config / "customers.toml").write_text(f'email = ["email", "work_email"]\n{named}')
    (config / "partners" / "meta.toml").write_text(
        'based_on = "pixel"\nname = "Meta"\nid_space = "meta"\nenabled = true\n'
        '[account]\nhost = "meta.example"\n'
    )
    seat = (config / "seat_templates" / "meta.toml").read_text()
    seat = seat.replace("partner_min_size = 100", "min_size = 1")
    (config / "seats" / "meta.toml").write_text(seat)


SENT = (MAIL, "paul.a+tag@gmail.com", PHONE.removeprefix("+"), "15551234567")
"""What the seat is sent by hash, as its partner writes it; the last one is erased."""
HASHES = [
    # Plain hashes are found by trying: they too rest encrypted.
    *(sha256(each.encode()).hexdigest() for each in (*SENT, "paula@gmail.com", "dupontel", PHONE)),
]
CRM_SECRETS = [
    *("paul.a+tag@gmail.com", "paula@gmail.com", "paul.a+tag", "+15551234567", "5551234567"),
    *("Jean-Quentin", "jean-quentin", "Dupontel", "dupontel", "SW1A-1AA", "1987-06-05"),
    md5(MAIL.encode()).hexdigest(),  # noqa: S324 - as some partners want it
]


def _crm_file() -> bytes:
    header = (
        "crm_id,email,work_email,phone,first_name,last_name,country,postal_code,birth_date,"
        "opt_in,note"
    )
    row = (
        f"123456,{MAIL},Paul.A+tag@gmail.com,{PHONE},Jean-Quentin,Dupontel,GB,SW1A-1AA,1987-06-05,yes,"
        f"{MARK} {MAIL}"
    )
    other = 'second,,,+1 (555) 123-4567,,,US,,,yes,"quoted"'
    return f"{header}\n{row}\n{other}\n".encode()
