"""After a run no address, phone or token is readable anywhere in the data directory."""

import json
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
    """In waiting chunks, in the database, in files and in the log there is none of them."""
    with serve(tmp_path, _name_every_column) as served:
        secrets = _say_everything(served)
        waiting = _waiting_chunks(served)
        served.call("POST", "/api/customers/import?site=demo&format=csv", content=_crm_file())
        secrets += CRM_SECRETS
        served.loads()
        assert served.call("GET", "/api/identity/123456")["person"] == "customer"
        served.stop()

    dump = subprocess.run(
        [sys.executable, "-c", DUMP, str(served.data / "clickhouse")],
        capture_output=True,
        check=True,
    ).stdout
    files = (path for path in served.data.rglob("*") if path.is_file())
    places = {str(path.relative_to(served.data)): path.read_bytes() for path in files}
    places |= {"tables": dump, "waiting chunks": waiting, "log": (tmp_path / "log").read_bytes()}
    assert MARK.encode() in dump
    assert MARK.encode() in waiting
    found = {
        (name, secret[:20])
        for name, content in places.items()
        for secret in secrets
        if secret.encode() in content
    }
    assert found == set()


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


def _name_every_column(config: Path) -> None:
    kinds = ("first_name", "last_name", "country", "postal_code", "birth_date")
    named = "".join(f'{kind} = "{kind}"\n' for kind in kinds)
    (config / "customers.toml").write_text(f'email = ["email", "work_email"]\n{named}')


CRM_SECRETS = [
    *("paul.a+tag@gmail.com", "paula@gmail.com", "paul.a+tag", "+15551234567", "5551234567"),
    *("Jean-Quentin", "jean-quentin", "Dupontel", "dupontel", "SW1A-1AA", "1987-06-05"),
    # Plain hashes are found by trying: they too rest encrypted.
    *(sha256(each).hexdigest() for each in (MAIL.encode(), b"paula@gmail.com", b"dupontel")),
    md5(MAIL.encode()).hexdigest(),  # noqa: S324 - as some partners want it
]


def _crm_file() -> bytes:
    header = (
        "crm_id,email,work_email,phone,first_name,last_name,country,postal_code,birth_date,note"
    )
    row = (
        f"123456,{MAIL},Paul.A+tag@gmail.com,{PHONE},Jean-Quentin,Dupontel,GB,SW1A-1AA,1987-06-05,"
        f"{MARK} {MAIL}"
    )
    other = 'second,,,+1 (555) 123-4567,,,US,,,"quoted"'
    return f"{header}\n{row}\n{other}\n".encode()
