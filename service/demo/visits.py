"""Plays browsers over HTTP: visits, cookie syncs with their redirects, and how they become known.

Takes the plan of `browsers.py`, gives counts. Each browser keeps its cookies per host like a real
one, and knows nothing but public addresses.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
import msgspec

from service.demo.browsers import Browser, Consent, Link
from service.demo.connections import Answer, Connections, DemoError, run_all
from service.demo.till import Shop, iso, now_ms

TOKEN_LIVES_S: Final = 600
BROWSERS_AT_ONCE: Final = 32
REDIRECTS_MAX: Final = 6
REFUSAL: Final = {"store": True, "audiences": True, "sync": False, "personalise": False}
SALE_OPT_OUT: Final = "1YYN"


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What the browsers did; `syncs` counts offers, `returns` those that came home with an id."""

    browsers: int
    messages: int
    consents: Counter[Consent]
    links: Counter[Link]
    left: int
    syncs: Counter[str]
    returns: Counter[str]


def play_browsers(
    shop: Shop, browsers: Sequence[Browser], on_progress: Callable[[int], None]
) -> Played:
    """Let all browsers do their part, some at a time."""
    played = Played(
        browsers=len(browsers),
        messages=0,
        consents=Counter(browser.consent for browser in browsers),
        links=Counter(browser.link for browser in browsers),
        left=sum(browser.leaves for browser in browsers),
        syncs=Counter(),
        returns=Counter(),
    )
    messages = 0

    async def work(connections: Connections, browser: Browser) -> None:
        nonlocal messages
        visit = _Visit(shop, browser, connections, played)
        # Why in two steps: `+= await` would read before and lose what others add meanwhile.
        sent = await visit.play()
        messages += sent

    run_all(browsers, work, BROWSERS_AT_ONCE, on_progress)
    return msgspec.structs.replace(played, messages=messages)


class _Visit:
    """One browser's way through the shop."""

    def __init__(
        self, shop: Shop, browser: Browser, connections: Connections, played: Played
    ) -> None:
        self._shop = shop
        self._browser = browser
        self._connections = connections
        self._played = played
        self._jars: dict[str, dict[str, str]] = {}

    async def play(self) -> int:
        """Visit, become known, sync; give the number of messages sent."""
        messages = self._visit_messages()
        await self._post(f"/t?key={self._shop.write_key}", f"[{','.join(messages)}]".encode())
        sent = len(messages)
        if self._browser.link is Link.CLICK:
            sent += await self._come_from_newsletter()
        if not self._browser.leaves:
            await self._sync()
        return sent

    def _visit_messages(self) -> list[str]:
        at_ms = self._browser.visited_at_ms
        messages = [self._message("page", 0, at_ms, name="Shop", properties=_page(self._shop))]
        messages += [
            self._message("track", i, at_ms + i * 20_000, event="Product Viewed", properties=view)
            for i, view in enumerate(self._browser.viewed, start=1)
        ]
        order = self._browser.order
        if self._browser.link is Link.LOGIN:
            crm_id = self._browser.crm_id
            at_ms += 90_000
            messages.append(self._message("identify", 9, at_ms, proved=True, userId=crm_id))
        elif order is not None:
            context = msgspec.json.encode(self._context(proved=True)).decode()
            messages.append(order.message(extra=f'"context":{context},'))
        return messages

    def _message(
        self, type_: str, number: int, at_ms: int, *, proved: bool = False, **fields: Any
    ) -> str:
        message = {
            "type": type_,
            "messageId": f"visit-{self._browser.name}-{number}",
            "timestamp": iso(at_ms),
            "context": self._context(proved=proved),
            **fields,
        }
        return msgspec.json.encode(message).decode()

    def _context(self, *, proved: bool) -> dict[str, Any]:
        context: dict[str, Any] = {}
        if self._browser.consent is Consent.REFUSED:
            context["consent"] = {"explicit": REFUSAL}
        elif self._browser.consent is Consent.SALE_OPTED_OUT:
            context["consent"] = {"us_privacy": SALE_OPT_OUT}
        if proved:
            context["token"] = _identify_token(self._shop, self._browser)
        return context

    async def _come_from_newsletter(self) -> int:
        link = self._shop.click_link(self._browser.crm_id)
        answer = await self._get(link, mode="navigate", dest="document")
        if answer.status != 302:
            raise DemoError(f"GET {link}: answered {answer.status}, expected a redirect")
        page = self._message("page", 8, now_ms(), name="Offers", properties=_page(self._shop))
        await self._post(f"/t?key={self._shop.write_key}", page.encode())
        return 1

    async def _sync(self) -> None:
        asked: dict[str, Any] = {"limit": 8}
        if self._browser.consent is Consent.REFUSED:
            asked["explicit"] = REFUSAL
        elif self._browser.consent is Consent.SALE_OPTED_OUT:
            asked["us_privacy"] = SALE_OPT_OUT
        path = f"/cookie_sync?account={self._shop.write_key}"
        answer = await self._post(path, msgspec.json.encode(asked))
        for offer in msgspec.json.decode(answer.body)["bidder_status"]:
            partner = offer["bidder"]
            self._played.syncs[partner] += 1
            came_home = await self._comes_home(offer["usersync"]["url"])
            self._played.returns[partner] += came_home

    async def _comes_home(self, url: str) -> bool:
        for _ in range(REDIRECTS_MAX):
            answer = await self._get(url, mode="no-cors", dest="image")
            if not answer.location:
                return url.startswith(f"{self._shop.url}/setuid") and answer.status == 200
            url = answer.location
        return False

    async def _post(self, path: str, body: bytes) -> Answer:
        url = f"{self._shop.url}{path}"
        extra = f"Origin: {self._shop.url}\r\nContent-Type: text/plain\r\n"
        headers = self._headers(url, site="same-origin", mode="cors", dest="empty") + extra
        answer = await self._connections.send(url, headers, body)
        self._keep_cookies(url, answer)
        return answer

    async def _get(self, url: str, *, mode: str, dest: str) -> Answer:
        headers = self._headers(url, site="cross-site", mode=mode, dest=dest)
        answer = await self._connections.request("GET", url, headers)
        self._keep_cookies(url, answer)
        return answer

    def _headers(self, url: str, *, site: str, mode: str, dest: str) -> str:
        jar = self._jars.get(urlsplit(url).netloc)
        cookies = "; ".join(f"{name}={value}" for name, value in jar.items()) if jar else ""
        return (
            f"User-Agent: {self._browser.agent}\r\nAccept: */*\r\n"
            f"Accept-Language: en-US,en;q=0.9\r\nReferer: {self._shop.url}/\r\n"
            f"Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}\r\nSec-Fetch-Dest: {dest}\r\n"
            + (f"Cookie: {cookies}\r\n" if cookies else "")
        )

    def _keep_cookies(self, url: str, answer: Answer) -> None:
        # Why per port too: the stand-in's port plays another company's site.
        jar = self._jars.setdefault(urlsplit(url).netloc, {})
        for cookie in answer.cookies:
            if cookie.gone:
                jar.pop(cookie.name, None)
            else:
                jar[cookie.name] = cookie.value


def _identify_token(shop: Shop, browser: Browser) -> str:
    """Mint what a shop's backend hands to the page of a customer who is logged in."""
    now_s = int(time.time())
    claims = {
        "sub": browser.crm_id,
        "aud": shop.site,
        "iat": now_s,
        "exp": now_s + TOKEN_LIVES_S,
        "jti": f"{browser.name}-{now_s}",
    }
    return jwt.encode(claims, shop.identify_secret, algorithm="HS256")


def _page(shop: Shop) -> dict[str, str]:
    return {"url": f"{shop.url}/demo/shop", "path": "/demo/shop", "title": "Shop"}
