"""The tag as it is served: settings, compression, caching, and the file of one version."""

import gzip
import json
import re
from base64 import b64encode
from hashlib import sha384
from pathlib import Path
from typing import Any

import pytest

from matching.partner_facts import Partner
from matching.partners import load_partners
from service.tag.collect import Collector
from service.tag.request import Caller, TagAnswer, TagRequest
from service.tag.routes import handle, is_tag_path
from service.tag.tag_script import integrity, link_domains, version_name
from service.tag.tag_state import Site, SyncSettings, TagState
from service.tag.tokens import Keys
from service.tag.visitor_cookie import CookieSettings

DIST = Path(__file__).parents[2] / "tag_sdk" / "dist"
PARTNERS = tuple(load_partners(DIST.parents[1] / "service" / "example_config"))
TAG = (DIST / "jumelle.js").read_bytes()
ORIGINS = ("https://shop.example", "https://www.shop.example", "https://books.example:8443")
SITE = Site(key="shop", write_key="w", origins=ORIGINS, consent_default="allow")


def ask(
    path: str, site: Site = SITE, *, partners: tuple[Partner, ...] = (), **headers: str
) -> TagAnswer:
    state = TagState(published_s=1, sites=(site,), partners=partners)
    collector = Collector(state=lambda: state, keys=Keys({1: bytes(32)}))
    path, _, query = path.partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    caller = Caller(headers={"host": "t.example", **named})
    request = TagRequest(method="GET", path=path, query=query, caller=caller, received_us=1)
    return handle(collector, request).answer


def settings_of(site: Site) -> dict[str, Any]:
    prelude, _, script = ask("/tag.js?key=w", site).body.partition(b";/* jumelle ")
    assert script in TAG
    found: dict[str, Any] = json.loads(prelude.removeprefix(b"window.__jumelle_settings="))
    return found


def test_settings_of_the_site_stand_in_front() -> None:
    """The site's file decides what the tag may do, and what is not said is left to its defaults."""
    plain = settings_of(Site(key="s", write_key="w", origins=("https://shop.example",)))
    assert plain == {"key": "w", "cookieSync": False, "consent": "required"}
    sync = SyncSettings(page_limit=3, excluded_paths=("/checkout",))
    rich = Site(key="s", write_key="w", origins=ORIGINS, anonymous=True, sync=sync)
    assert settings_of(rich) == plain | {
        "syncLimit": 3,
        "syncExcluded": ["/checkout"],
        "anonymous": True,
        "linkDomains": ["shop.example", "www.shop.example", "books.example"],
    }


def test_what_a_browser_downloads_is_within_the_budget() -> None:
    """The tag with the settings of a site on one domain has at most 6 KB as it is sent."""
    site = Site(key="s", write_key="w", origins=ORIGINS[:1], consent_default="allow")
    answer = ask("/tag.js?key=w", site, partners=PARTNERS, accept_encoding="gzip")
    assert len(answer.body) <= 6 * 1024


def test_domains_that_share_a_cookie_are_one() -> None:
    """Hosts below the cookie's domain need no linker among themselves."""
    shared = Site(
        key="s", write_key="w", origins=ORIGINS, cookie=CookieSettings(domain="Shop.example")
    )
    assert link_domains(shared) == [".shop.example", "books.example"]


def test_lines_are_those_of_the_source_map() -> None:
    """The settings stand in the first line of the file, so that the map of the file fits."""
    script = ask("/tag.js?key=w").body
    assert script.count(b"\n") == TAG.count(b"\n")
    assert script.split(b"\n", 1)[1] == TAG.split(b"\n", 1)[1]


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        pytest.param("", "", id="nothing said"),
        pytest.param("gzip, deflate, br", "gzip", id="gzip"),
        pytest.param("GZIP;q=0.5", "gzip", id="in capitals, with a weight"),
        pytest.param("gzip;q=0, identity", "", id="gzip refused"),
        pytest.param("br", "", id="brotli alone"),
    ],
)
def test_the_site_s_script_is_compressed(accepted: str, coding: str) -> None:
    """A browser that takes gzip gets it; each form has an ETag of its own."""
    answer = ask("/tag.js?key=w", accept_encoding=accepted)
    headers = dict(answer.headers)
    assert headers.get("Content-Encoding", "") == coding
    assert headers["Vary"] == "Accept-Encoding"
    body = gzip.decompress(answer.body) if coding else answer.body
    assert body.endswith(TAG)
    assert (headers["ETag"][-6:] == '-gzip"') is bool(coding)


def test_a_known_script_is_not_sent_again() -> None:
    """An ETag that a proxy made weak, among others, still says that the script is known."""
    etag = dict(ask("/tag.js?key=w", accept_encoding="gzip").headers)["ETag"]
    again = ask("/tag.js?key=w", accept_encoding="gzip", if_none_match=f'"x", W/{etag}')
    assert (again.status, again.body) == (304, b"")
    assert ask("/tag.js?key=w", if_none_match=etag).status == 200


def test_a_version_s_file_never_changes() -> None:
    """The file of this version has no settings, may be kept for ever, and its integrity holds."""
    assert is_tag_path(f"/{version_name()}")
    answer = ask(f"/{version_name()}")
    headers = dict(answer.headers)
    assert answer.body == TAG
    assert "immutable" in headers["Cache-Control"]
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert integrity() == "sha384-" + b64encode(sha384(answer.body).digest()).decode()


def test_a_version_s_file_comes_as_brotli() -> None:
    """The compressed file that is built beside the tag is sent to browsers that take it."""
    answer = ask(f"/{version_name()}", accept_encoding="gzip, br")
    assert dict(answer.headers)["Content-Encoding"] == "br"
    assert answer.body == (DIST / "jumelle.js.br").read_bytes()
    assert len(answer.body) < len(gzip.compress(TAG, 9))


def test_the_source_map_is_named_and_served() -> None:
    """Both forms of the tag name the map of its readable sources by a header."""
    for path in ("/tag.js?key=w", f"/{version_name()}"):
        named = dict(ask(path).headers)["SourceMap"]
        found = json.loads(ask(f"/{named}").body)
        assert "../src/index.js" in found["sources"]
        assert len(found["sourcesContent"]) == len(found["sources"])
    assert not re.search(rb"(/work/|/home/|/root/|/tmp/)", (DIST / "jumelle.js.map").read_bytes())


def test_another_version_is_not_here() -> None:
    """Who asks for another version's file is told which one there is."""
    answer = ask("/tag-0000000000000000.js")
    assert answer.status == 404
    assert version_name() in answer.body.decode()


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        pytest.param({"excluded_paths": ("checkout",)}, "begins with /", id="no path"),
    ],
)
def test_wrong_sync_settings_are_refused(given: dict[str, Any], wrong: str) -> None:
    """A site's file that cannot mean what it says is refused with the reason."""
    with pytest.raises(ValueError, match=wrong):
        SyncSettings(**given)
