"""The shop's backend: sends the till's orders with the server key, in Segment batches.

Takes orders and the shop's keys, gives how many messages were refused. No browser is played here.
"""

import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from service.demo.connections import Connections, run_all
from service.demo.households import Order

SENDERS: Final = 3
BATCH_BYTES_MAX: Final = 480_000
BATCH_MESSAGES_MAX: Final = 1_000


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """The demo site as pages and backend know it; `click_link` makes a newsletter's link."""

    url: str
    site: str
    write_key: str
    server_key: str
    identify_secret: str
    click_link: Callable[[str], str]


def send_orders(shop: Shop, orders: Sequence[Order], on_progress: Callable[[int], None]) -> int:
    """Send orders as a shop's backend does, in Segment batches; give how many were refused."""
    key = b64encode(f"{shop.server_key}:".encode()).decode()
    headers = f"Authorization: Basic {key}\r\nContent-Type: application/json\r\n"
    refused = sent = 0

    async def work(connections: Connections, batch: list[str]) -> None:
        nonlocal refused, sent
        body = f'{{"batch":[{",".join(batch)}],"sentAt":"{iso(now_ms())}"}}'.encode()
        answer = await connections.send(f"{shop.url}/v1/batch", headers, body)
        refused += len(msgspec.json.decode(answer.body).get("refused", []))
        sent += len(batch)
        on_progress(sent)

    run_all(batches_of(orders), work, SENDERS, lambda _: None)
    return refused


def batches_of(orders: Sequence[Order]) -> Iterator[list[str]]:
    """Pack orders' messages into batches within the limits of `/v1/batch`."""
    batch: list[str] = []
    size = 0
    for order in orders:
        message = order.message()
        length = len(message.encode())
        if batch and (size + length > BATCH_BYTES_MAX or len(batch) >= BATCH_MESSAGES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += length + 1
    if batch:
        yield batch


def now_ms() -> int:
    """Give the time in milliseconds since the epoch."""
    return int(time.time() * 1000)


def iso(at_ms: int) -> str:
    """Write a time as messages carry it."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
