"""The tag as browsers get it: with a site's settings in front, or as a file of one version.

A request comes in, script and headers go out: compressed where the browser takes it, and nothing
when it has this very script. A version's file holds no settings, so that its bytes never change.
"""

import gzip
from base64 import b64encode
from functools import lru_cache
from hashlib import sha256, sha384
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

import msgspec

from matching.consent.site_default import allows_silent
from service.tag.request import TagAnswer, TagRequest, refusal, trusted_country
from service.tag.tag_state import Site, SyncSettings, TagState

SCRIPT: Final = "text/javascript; charset=utf-8"
FOR_EVER: Final = "public, max-age=31536000, immutable"
FIXED: Final = (("Vary", "Accept-Encoding"), ("X-Content-Type-Options", "nosniff"))
# Why any origin: a page checks `integrity` only of what it may read, and there is nothing to hide.
FOR_ALL_PAGES: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
)
VERSION: Final = "tag-"
"""How the name of the file without settings begins; its end is its version's."""
GZIP: Final = "gzip"
BROTLI: Final = "br"


class Forms(msgspec.Struct, frozen=True, kw_only=True):
    """A text in the codings that it is sent in, plain under "", with the name of this version."""

    by_coding: dict[str, bytes]
    version: str


def tag_script(state: TagState, request: TagRequest, name: str) -> TagAnswer:
    """`GET /tag.js?key=K` and `GET /tag-HASH.js` with its source map."""
    return _version_script(request, name) if name.startswith(VERSION) else _script(state, request)


def _script(state: TagState, request: TagRequest) -> TagAnswer:
    site = state.site_of_write_key.get(request.fields.get("key", ""))
    if site is None:
        return refusal(404, "no site has this write key; see config/sites")
    country = trusted_country(request, site)
    settings = msgspec.json.encode(_settings(state, site, country))
    for_all = isinstance(site.consent_default, str)
    headers = (
        ("Content-Type", SCRIPT),
        ("Cache-Control", f"{'public' if for_all else 'private'}, max-age=300"),
        ("SourceMap", f"{version_name()}.map"),
    )
    return _sent(request, _with_settings(settings), headers)


@lru_cache(maxsize=1)
def version_name() -> str:
    """Give the name of the file without settings, such as `tag-0123456789abcdef.js`."""
    return f"{VERSION}{_version().version[:16]}.js"


@lru_cache(maxsize=1)
def integrity() -> str:
    """Give what a page writes into `integrity`, to run this version or nothing."""
    return f"sha384-{b64encode(sha384(_file('jumelle.js')).digest()).decode()}"


def _version_script(request: TagRequest, name: str) -> TagAnswer:
    headers: tuple[tuple[str, str], ...] = (("Cache-Control", FOR_EVER), *FOR_ALL_PAGES)
    if name == version_name():
        headers += (("Content-Type", SCRIPT), ("SourceMap", f"{name}.map"))
        return _sent(request, _version(), headers)
    if name == f"{version_name()}.map":
        return _sent(request, _source_map(), (*headers, ("Content-Type", "application/json")))
    return refusal(404, f"this version of the tag is not here; there is {version_name()}")


def _settings(state: TagState, site: Site, country: str) -> dict[str, object]:
    """Give what the tag does not assume by itself: each byte of it goes to every browser."""
    silent = allows_silent(site.consent_default, country)
    settings: dict[str, object] = {
        "key": site.write_key,
        "consent": "optional" if silent else "required",
    }
    domains = link_domains(site)
    if not state.partners or site.sync.page_limit == 0:
        settings["cookieSync"] = False
    if site.sync.page_limit != SyncSettings().page_limit:
        settings["syncLimit"] = site.sync.page_limit
    if site.sync.excluded_paths:
        settings["syncExcluded"] = site.sync.excluded_paths
    if site.anonymous:
        settings["anonymous"] = True
    if len(domains) > 1:
        settings["linkDomains"] = domains
    return settings


def link_domains(site: Site) -> list[str]:
    """Give the site's domains as cookies see them: one that begins with a dot covers all below."""
    shared = site.cookie.domain.lstrip(".").lower()
    found = {}
    for origin in site.origins:
        host = urlsplit(origin).hostname or ""
        covered = shared and f".{host}".endswith(f".{shared}")
        found[f".{shared}" if covered else host] = True
    return [each for each in found if each]


def _sent(request: TagRequest, forms: Forms, headers: tuple[tuple[str, str], ...]) -> TagAnswer:
    coding = _coding_of(request.header("accept-encoding"), forms)
    # Why the coding in it: caches keep each form under its own name.
    etag = f'"{forms.version[:20]}{"-" if coding else ""}{coding}"'
    headers = (*headers, *FIXED, ("ETag", etag))
    known = (each.strip().removeprefix("W/") for each in request.header("if-none-match").split(","))
    if etag in known:
        return TagAnswer(status=304, headers=headers)
    if coding:
        headers += (("Content-Encoding", coding),)
    return TagAnswer(status=200, headers=headers, body=forms.by_coding[coding])


def _coding_of(accepted: str, forms: Forms) -> str:
    """Give the smallest form that a browser takes; plain where it says nothing."""
    taken = set()
    for part in accepted.lower().split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        if not any(each.replace(" ", "") in {"q=0", "q=0.0", "q=0.00"} for each in parameters):
            taken.add(name)
    return next((each for each in (BROTLI, GZIP) if each in taken and each in forms.by_coding), "")


@lru_cache(maxsize=256)
def _with_settings(settings: bytes) -> Forms:
    # Why in the first line: the lines of the source map stay those of the file.
    return _forms(b"window.__jumelle_settings=" + settings + b";" + _file("jumelle.js"))


@lru_cache(maxsize=1)
def _version() -> Forms:
    # Why brotli only here: it is made with the file, for no library of ours does it cheaply.
    return _forms(_file("jumelle.js"), brotli=_file("jumelle.js.br"))


@lru_cache(maxsize=1)
def _source_map() -> Forms:
    return _forms(_file("jumelle.js.map"))


def _forms(plain: bytes, *, brotli: bytes = b"") -> Forms:
    by_coding = {"": plain, GZIP: gzip.compress(plain, 9, mtime=0)}
    if brotli:
        by_coding[BROTLI] = brotli
    return Forms(by_coding=by_coding, version=sha256(plain).hexdigest())


def _file(name: str) -> bytes:
    return (files("tag_sdk") / "dist" / name).read_bytes()
