"""All settings: the environment and every TOML file of the configuration, all errors at once.

Comes in: environment and folder. Goes out: one `Config`, or `ConfigErrors` with a line per fault,
each with its file and path. The first start copies `service/example_config/`.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import as_file, files
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from audiences.exports.seats import Seat, SeatErrors, load_seats
from audiences.rfm import RfmSettings
from audiences.tagging_plan import TaggingPlan
from matching.consent.site_default import fault_of_default
from matching.consent.vendor_list import VendorList, VendorListError, read_vendor_list
from matching.crm_import import CrmColumns
from matching.partner_facts import Partner
from matching.partners import PartnerErrors, load_partners
from matching.people import Limits
from service.tag.spool import SpoolSettings
from service.tag.tag_state import Site
from service.tag.tokens import IDENTIFY_SECRET_BYTES_MIN
from service.tagging_plans import load_tagging_plans

DEFAULT_DATA: Final = "jumelle-data"

Kind = TypeVar("Kind")


class ConfigErrors(Exception):
    """The configuration cannot be used; `errors` holds one "path: message" for each fault."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


DATABASE_MEMORY_BYTES_LEAST: Final = 512 << 20


class ServiceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`config/service.toml`: limits of the service itself; every field has a default."""

    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    tick_seconds: float = 3.0
    clickhouse_threads: int = 2
    database_reserve_bytes: int = 512 << 20
    database_memory_bytes: int = 0
    spool: SpoolSettings = SpoolSettings()
    people: Limits = Limits()

    def __post_init__(self) -> None:
        """Refuse a proxy that is no network, and memory in which no chunk could be loaded."""
        if self.database_memory_bytes and self.database_memory_bytes < DATABASE_MEMORY_BYTES_LEAST:
            raise ValueError(
                f"database_memory_bytes is {self.database_memory_bytes}; give at least "
                f"{DATABASE_MEMORY_BYTES_LEAST}, or 0 for nine tenths of the machine's"
            )
        for text in self.trusted_proxies:
            try:
                ip_network(text, strict=False)
            except ValueError:
                raise ValueError(
                    f"trusted_proxies holds {text!r}; give networks such as 10.0.0.0/8"
                ) from None


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What the process environment says."""

    data: Path
    clickhouse_url: str = ""
    admin_key: str = ""
    timezone: ZoneInfo

    @classmethod
    def read(cls, values: Mapping[str, str]) -> "Environment":
        """Read the `JUMELLE_*` variables."""
        zone = values.get("JUMELLE_TIMEZONE", "UTC")
        try:
            timezone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigErrors(
                [f"JUMELLE_TIMEZONE: {zone!r} is no time zone; give one such as Europe/Paris"]
            ) from None
        return cls(
            data=Path(values.get("JUMELLE_DATA", DEFAULT_DATA)).absolute(),
            clickhouse_url=values.get("JUMELLE_CLICKHOUSE_URL", ""),
            admin_key=values.get("JUMELLE_ADMIN_KEY", ""),
            timezone=timezone,
        )


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the operator wrote, checked."""

    folder: Path
    sites: tuple[Site, ...]
    partners: tuple[Partner, ...]
    seats: tuple[Seat, ...]
    rfm: RfmSettings
    customers: CrmColumns
    service: ServiceFile
    vendor_lists: dict[int, VendorList]
    tagging_plans: dict[str, TaggingPlan] = {}

    @property
    def default_site(self) -> Site:
        """The site whose rules hold for visitors who were never heard of."""
        return self.sites[0]

    @property
    def warnings(self) -> list[str]:
        """Say what works on this machine alone, and what holds for nobody."""
        found = [
            f"sites/{site.key}.toml gives consent_default by country, but all visitors count as "
            "from the EEA: name the country_header of a proxy among service.toml's trusted_proxies"
            for site in self.sites
            if not isinstance(site.consent_default, str)
            and not (site.country_header and self.service.trusted_proxies)
        ]
        if not self.service.public_url:
            found.append(
                "service.toml has no public_url: cookie sync is offered only where this service is "
                "called by a host of the site's own pages, or on this machine; give the URL by "
                "which browsers reach it, such as https://t.shop.example"
            )
        return found

    def site(self, key: str) -> Site | None:
        """Find a site by key."""
        return next((each for each in self.sites if each.key == key), None)

    def partner(self, key: str) -> Partner | None:
        """Find a partner by key."""
        return next((each for each in self.partners if each.key == key), None)

    def seat(self, key: str) -> Seat | None:
        """Find a seat by key."""
        return next((each for each in self.seats if each.key == key), None)


def prepare_config(data: Path) -> Path:
    """Give the configuration folder; the first time, fill it with the example."""
    folder = data / "config"
    if not folder.exists():
        draft = data / "config.new"
        shutil.rmtree(draft, ignore_errors=True)
        with as_file(files("service").joinpath("example_config")) as example:
            shutil.copytree(example, draft, copy_function=shutil.copyfile)
        draft.rename(folder)
    return folder


def load_config(folder: Path) -> Config:
    """Read and check every file; raise ConfigErrors with all faults."""
    errors: list[str] = []
    sites = tuple(_each_toml(folder / "sites", Site, errors))
    errors += _site_faults(folder, sites)
    partners = _gather(lambda: load_partners(folder), PartnerErrors, errors, [])
    seats = _gather(lambda: load_seats(folder), SeatErrors, errors, [])
    # Why only then: a partner whose file is wrong is known, and no fault of its seats.
    if partners or not errors:
        errors += _seat_faults(folder, seats, partners)
    config = Config(
        folder=folder,
        sites=sites,
        partners=tuple(each for each in partners if each.enabled),
        seats=tuple(seats),
        rfm=_toml(folder / "rfm.toml", RfmSettings, errors),
        customers=_toml(folder / "customers.toml", CrmColumns, errors),
        service=_toml(folder / "service.toml", ServiceFile, errors),
        vendor_lists=_vendor_lists(folder / "vendor_lists", errors),
        tagging_plans=load_tagging_plans(folder, [each.key for each in sites], errors),
    )
    if errors:
        raise ConfigErrors(errors)
    return config


def _gather(
    load: Callable[[], list[Kind]],
    kind: type[PartnerErrors | SeatErrors],
    errors: list[str],
    otherwise: list[Kind],
) -> list[Kind]:
    try:
        return load()
    except kind as problem:
        errors += problem.errors
        return otherwise


def _each_toml(folder: Path, kind: type[Kind], errors: list[str]) -> Iterable[Kind]:
    for path in sorted(folder.glob("*.toml")):
        found = _toml(path, kind, errors)
        if found is not None:
            yield found


def _toml(path: Path, kind: type[Kind], errors: list[str]) -> Any:
    try:
        text = path.read_bytes() if path.exists() else b""
        return msgspec.toml.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        errors.append(f"{path}: {problem}")
        return None


def _site_faults(folder: Path, sites: tuple[Site, ...]) -> list[str]:
    place = folder / "sites"
    if not sites:
        return [f"{place}: no readable site; a service without a site can collect nothing"]
    faults = []
    for name in ("key", "write_key"):
        values = [getattr(site, name) for site in sites]
        faults += [
            f"{place}: two sites have the {name} {value!r}; it must be unique"
            for value in sorted({each for each in values if values.count(each) > 1})
        ]
    for site in sites:
        fault = fault_of_default(site.consent_default)
        if fault:
            faults.append(f"{place / site.key}.toml: {fault}")
        secret = site.identify_secret
        if secret and len(secret.encode()) < IDENTIFY_SECRET_BYTES_MIN:
            faults.append(
                f"{place / site.key}.toml: the secret in ${site.identify_secret_env} has "
                f"{len(secret.encode())} bytes; an identify secret needs at least 32"
            )
    return faults


def _seat_faults(folder: Path, seats: list[Seat], partners: list[Partner]) -> list[str]:
    known = {each.key for each in partners}
    return [
        f"{folder / 'seats' / seat.key}.toml: no partner {seat.partner!r} in config/partners - "
        "at `$.partner`"
        for seat in seats
        if seat.partner not in known
    ]


def _vendor_lists(folder: Path, errors: list[str]) -> dict[int, VendorList]:
    lists = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found = read_vendor_list(path.read_bytes())
        except VendorListError as problem:
            errors.append(f"{path}: {problem}")
            continue
        lists[found.version] = found
    return lists


def read_environment() -> Environment:
    """Read this process's environment."""
    return Environment.read(os.environ)
