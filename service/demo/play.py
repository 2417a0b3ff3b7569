"""The demo: a year of real purchases played through the public interface, from tag to seat files.

It starts the service as a process of its own and then speaks HTTP only, as browsers, as the shop's
backend and as the command line. What it tells at the end is read back from the API.
"""

import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click
import msgspec

from service.api_client import ApiClient, ApiError, run_of
from service.audience_files import AudienceFile, plain, put_audience, read_folder
from service.cli_output import Advance, progress, say, stderr
from service.cli_session import CommandError
from service.config import read_environment
from service.demo.browsers import Browser, browsers_of
from service.demo.connections import DemoError
from service.demo.households import Purchases, read_purchases, write_customers
from service.demo.process import Ready, ServiceProcess
from service.demo.summary import Story, Summary, gather_summary, print_summary
from service.demo.till import Shop, now_ms, send_orders
from service.demo.visits import Played, play_browsers
from service.import_files import ImportFailedError, Kind, file_size, import_file
from service.local_commands import click_token
from service.tag.tokens import Keys

SITE: Final = "demo"
WRITE_KEY: Final = "demo"
SEATS: Final = ("xandr_958", "ttd_demo", "pixel_csv")
EXPIRES_DAYS: Final = 30
FIRST_SEGMENT: Final = 100_001
LOOKALIKE: Final = "twins"
LOOKALIKE_PERCENT: Final = 5.0
SEED: Final = "champions_who_like_fresh_food"
SEED_PEOPLE_MIN: Final = 100
SUMMARY_FILE: Final = "demo-summary.json"


def play(*, data: Path, port: int, households: int | None, once: bool, as_json: bool) -> None:
    """Play the demo into a data directory; one that was played before is only opened."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ServiceProcess(data=data, port=port) as service:
            try:
                ready = _play(service, data, households=households, as_json=as_json)
            except ApiError as error:
                # Why here: the log that says why ends with the service.
                raise DemoError(f"{error}\n{service.last_words()}") from error
            if not once:
                say(f"\nOpen {ready.url}/demo/shop (Ctrl-C stops the service)")
                say("To ask it on the command line, in another terminal of this folder:")
                say(f"  export JUMELLE_URL={ready.url} JUMELLE_ADMIN_KEY={ready.admin_key}")
                say(f"  uv run jumelle audience show {SEED}")
                service.wait()
    except (DemoError, ApiError, ImportFailedError) as error:
        raise CommandError(str(error)) from error
    except KeyboardInterrupt:
        if once:
            raise click.Abort from None


def _play(service: ServiceProcess, data: Path, *, households: int | None, as_json: bool) -> Ready:
    before = data / SUMMARY_FILE
    if before.exists():
        ready = service.wait_ready()
        say(f"{data} was played before; nothing is played again. Remove it to start anew.")
        played_before = msgspec.json.decode(before.read_bytes(), type=Summary)
        print_summary(played_before, None, as_json=as_json)
        return ready
    started = time.monotonic()
    with _stage("Reading purchases"):
        purchases = _purchases(households)
    with _stage("Starting the service"):
        ready = service.wait_ready()
    with ApiClient(ready.url, ready.admin_key) as api:
        story, export = _play_through(api, ready, data, purchases)
        summary = gather_summary(api, export=export, seconds=time.monotonic() - started)
    before.write_bytes(msgspec.json.encode(summary))
    print_summary(summary, story, as_json=as_json)
    return ready


def _play_through(
    api: ApiClient, ready: Ready, data: Path, purchases: Purchases
) -> tuple[Story, dict[str, Any]]:
    """Do what a shop and a marketer do, in their order; give the story and the export."""
    shop = _shop(ready, data)
    browsers = browsers_of(purchases.households, purchases.orders, now_ms=now_ms())
    _import_customers(api, purchases)
    with _stage("Visits, syncs and logins", len(browsers)) as advance:
        played = play_browsers(shop, browsers, advance)
    _send_till_orders(shop, purchases, browsers)
    _load(api)
    audiences = read_folder(Path(str(files("service") / "example_config" / "audiences")))
    previews = _apply_and_preview(api, audiences)
    _build(api, audiences)
    lookalike = _save_lookalike(api, audiences, previews)
    keys = [file.key for file in audiences]
    _activate(api, keys if lookalike is None else [*keys, LOOKALIKE])
    with _stage("Export to the seats"):
        export = api.wait_for_export(run_of(api.post("/api/exports", {"seats": list(SEATS)})))
    names = {file.key: file.audience.name for file in audiences}
    return _story(purchases, played, previews, lookalike, names), export


def _purchases(households: int | None) -> Purchases:
    zone = read_environment().timezone
    return read_purchases(today=datetime.now(zone).date(), zone=zone, households=households)


def _shop(ready: Ready, data: Path) -> Shop:
    keys = Keys.load_or_create(data / "keys.toml")
    target = f"{ready.url}/demo/shop"

    def click_link(crm_id: str) -> str:
        return f"{ready.url}/c/{click_token(keys, site=SITE, crm_id=crm_id, target=target)}"

    return Shop(
        url=ready.url,
        site=SITE,
        write_key=WRITE_KEY,
        server_key=ready.server_key,
        identify_secret=ready.identify_secret,
        click_link=click_link,
    )


def _import_customers(api: ApiClient, purchases: Purchases) -> None:
    with tempfile.TemporaryDirectory(prefix="jumelle-demo-") as folder:
        path = Path(folder) / "customers.csv"
        write_customers(path, purchases.households)
        with _stage("Customers from the CRM", file_size(path)) as advance:
            done = import_file(api, Kind.CUSTOMERS, path, site=SITE, on_progress=advance)
    if done.rejects:
        first = done.rejects[0]
        raise DemoError(
            f"{len(done.rejects)} customers were refused, line {first.line}: {first.reason}"
        )


def _send_till_orders(shop: Shop, purchases: Purchases, browsers: list[Browser]) -> None:
    online = {browser.order.order_id for browser in browsers if browser.order is not None}
    till = [order for order in purchases.orders if order.order_id not in online]
    with _stage("Orders of the till", len(till)) as advance:
        refused = send_orders(shop, till, advance)
    if refused:
        raise DemoError(f"{refused} of {len(till)} orders were refused")


def _load(api: ApiClient) -> None:
    waiting = int(api.get("/readyz").get("in_spool") or 0)
    with _stage("Loading what was received", waiting or None) as advance:
        run = run_of(api.post("/api/jobs/load/run"))

        def look(_: object) -> None:
            advance(max(0, waiting - int(api.get("/readyz").get("in_spool") or 0)))

        _check_jobs(api.wait_for_jobs(run, look))


def _apply_and_preview(api: ApiClient, audiences: list[AudienceFile]) -> dict[str, dict[str, Any]]:
    previews = {}
    with _stage("Audiences: apply and preview", len(audiences)) as advance:
        for done, file in enumerate(audiences, start=1):
            put_audience(api, file.audience)
            if file.audience.rule is not None:
                asked = {"identity": file.audience.identity, "rule": plain(file.audience)["rule"]}
                previews[file.key] = api.post("/api/preview", asked)
            advance(done)
    return previews


def _build(api: ApiClient, audiences: list[AudienceFile]) -> None:
    with _stage("Audiences: build", len(audiences)) as advance:
        for done, file in enumerate(audiences, start=1):
            if file.audience.rule is not None:
                run = run_of(api.post(f"/api/audiences/{file.key}/build"))
                _check_jobs(api.wait_for_jobs(run))
            advance(done)


def _save_lookalike(
    api: ApiClient, audiences: list[AudienceFile], previews: dict[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """Save the twins of an audience; None where no audience has enough people for a seed."""
    sizes = {key: int(preview["size"]) for key, preview in previews.items()}
    # Why not always the same: of few households too few are champions to have twins.
    key = SEED if sizes[SEED] >= SEED_PEOPLE_MIN else max(sizes, key=lambda key: sizes[key])
    if sizes[key] < SEED_PEOPLE_MIN:
        say(f"Lookalike: left out, no audience has {SEED_PEOPLE_MIN} people to be the seed")
        return None
    seed = next(file.audience for file in audiences if file.key == key)
    asked = {"seed": seed.key, "percent": LOOKALIKE_PERCENT}
    with _stage("Lookalike"):
        report: dict[str, Any] = api.post("/api/lookalikes/preview", asked)
        api.put(f"/api/lookalikes/{LOOKALIKE}", {"name": f"Twins of {seed.name}", **asked})
    return report


def _activate(api: ApiClient, keys: list[str]) -> None:
    for number, key in enumerate(keys, start=FIRST_SEGMENT):
        for seat in SEATS:
            # Why: a segment belongs to the partner; at Xandr it is a number.
            segment = str(number) if seat.startswith("xandr") else key
            body = {"segment": segment, "expires_days": EXPIRES_DAYS}
            api.put(f"/api/audiences/{key}/seats/{seat}", body)


def _story(
    purchases: Purchases,
    played: Played,
    previews: dict[str, dict[str, Any]],
    lookalike: dict[str, Any] | None,
    names: dict[str, str],
) -> Story:
    return Story(
        purchases=purchases,
        played=played,
        previews=previews,
        lookalike=lookalike,
        names={**names, LOOKALIKE: "Lookalike"},
    )


def _check_jobs(jobs: list[dict[str, Any]]) -> None:
    for job in jobs:
        if job["status"] != "ok":
            raise DemoError(f"job {job['job']} failed: {job.get('detail')}")


@contextmanager
def _stage(label: str, total: int | None = None) -> Iterator[Advance]:
    started = time.monotonic()
    with progress(label, total) as advance:
        yield advance
    if not stderr().is_terminal:
        say(f"{label}: {time.monotonic() - started:.1f} s")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
