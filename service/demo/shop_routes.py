"""The demo shop's routes: its pages, a backend that mints tokens, and a look at the own card."""

import time
from importlib.resources import files
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.types import ControllerRouterHandler

from service.api.errors import NotFound
from service.api.identity import card_of
from service.api.personalise import audiences_for
from service.engine.engine import Engine
from service.local_commands import click_token
from service.tag.process import TagProcess
from service.tag.request import Caller, TagRequest
from service.tag.tokens import make_identify

EXAMPLE_CUSTOMER: Final = "123456"
"""Paul, the one example person."""
SITE: Final = "demo"
TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
SECURITY: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src *; frame-src *",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def shop_routes(engine: Engine, part: TagProcess, base: str) -> list[ControllerRouterHandler]:
    """Make the shop's routes; they exist only under `jumelle demo`."""

    @get("/demo/shop", sync_to_thread=False)
    def shop() -> Response[bytes]:
        return _file("index.html")

    @get("/demo/shop/{name:str}", sync_to_thread=False)
    def shop_file(name: str) -> Response[bytes]:
        return _file(name)

    @post("/demo/shop/login", status_code=200, sync_to_thread=False)
    def login() -> dict[str, str]:
        site = engine.config.site(SITE)
        if site is None or not site.identify_secret:
            raise NotFound("the demo site has no identify secret")
        token = make_identify(
            site.identify_secret, site=site.key, crm_id=EXAMPLE_CUSTOMER, now_s=int(time.time())
        )
        return {"crm_id": EXAMPLE_CUSTOMER, "token": token}

    @get("/demo/shop/newsletter", sync_to_thread=False)
    def newsletter() -> dict[str, str]:
        target = f"{base}/demo/shop?from=newsletter"
        token = click_token(part.keys, site=SITE, crm_id=EXAMPLE_CUSTOMER, target=target)
        return {"url": f"{base}/c/{token}"}

    @get("/demo/shop/card", sync_to_thread=True)
    def card(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return _own_card(engine, part, request)

    return [shop, shop_file, login, newsletter, card]


def _file(name: str) -> Response[bytes]:
    ending = name.rpartition(".")[2]
    path = files("service.demo").joinpath("shop", name)
    if ending not in TYPES or "/" in name or not path.is_file():
        raise NotFound(f"the demo shop has no {name}")
    headers = {**SECURITY, "Content-Type": TYPES[ending], "Cache-Control": "no-cache"}
    return Response(path.read_bytes(), headers=headers)


def _own_card(engine: Engine, part: TagProcess, request: Request[Any, Any, Any]) -> dict[str, Any]:
    site = engine.config.site(SITE)
    asked = TagRequest(
        method="GET",
        path=request.url.path,
        query="",
        caller=Caller(headers={name.lower(): value for name, value in request.headers.items()}),
        received_us=engine.now_ms() * 1000,
    )
    found = part.collector.cookie_of(asked, site) if site else None
    if found is None or site is None:
        return {"visitor": None}
    ordinal = int(engine.stores.customers.find_visitors([found.visitor])[0])
    subject = engine.subjects.of_visitor(ordinal) if ordinal else None
    if subject is None:
        return {"visitor": found.visitor.hex(), "waiting": True}
    return {
        "visitor": found.visitor.hex(),
        **card_of(engine, subject),
        "partner_names": {each.key: each.name for each in engine.config.partners},
        "me_audiences": audiences_for(engine, part.collector, asked, site.write_key),
    }
