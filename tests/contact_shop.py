"""A shop whose customers have no browser, an engine over it, and seats that take contacts."""

import gzip
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from audiences.exports.report import ExportReport
from audiences.exports.seat_state import Activation
from audiences.rule import decode_audience
from service.config import Config, Environment, load_config, prepare_config
from service.engine.crm_imports import CrmImports, ImportOptions
from service.engine.engine import Engine
from service.engine.erasure import Receipt, erase
from service.engine.export_job import run_exports
from service.metrics import Balance
from service.tag.tokens import Keys

CASES: Final = Path(__file__).parent / "cases" / "contacts"
SEATS: Final = ("google_customer_match", "google_data_manager", "ttd_crm", "meta", "liveramp")
SEGMENT: Final = "10"
CUSTOMERS_TOML: Final = """
calling_code = "33"
ad_user_data = "ad_user_data"
ad_personalization = "ad_personalization"
[hashed]
email_sha256 = "email_base_hash"
email_uid2 = "email_uid2_hash"
"""
PARTNERS: Final = {
    "google": 'enabled = true\nconfirmed = ["callback"]\n[account]\nnid = "1"\n',
    "liveramp": 'enabled = true\n[account]\npartner = "1"\n',
    "meta": 'based_on = "pixel"\nname = "Meta"\nid_space = "meta"\nenabled = true\n'
    '[account]\nhost = "meta.example"\n',
}


class Shop:
    """An engine, and what a shop does with it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._run = 0

    def imports(self, csv: bytes | str) -> None:
        """Import a CRM file and let the engine make everything new."""
        body = csv if isinstance(csv, bytes) else csv.encode()
        report = CrmImports(self.engine).whole(
            body, ImportOptions(), delete_missing=False, force=False
        )
        assert report.rejects == [], report.rejects
        time.sleep(0.002)  # Why: rows of one millisecond have no order
        self.engine.tick()

    def audience(
        self, key: str, definition: dict[str, Any], *seats: str, segment: str = SEGMENT
    ) -> None:
        """Save an audience, put it on seats and build it."""
        engine = self.engine
        engine.stores.audiences.save(decode_audience(definition, key=key), engine.now_ms())
        engine.define()
        for seat in seats:
            activation = Activation(seat=seat, audience=key, segment=segment)
            engine.stores.exports.put_activation(activation)
        engine.tick(must_rebuild=True)

    def exports(self, *seats: str) -> dict[str, ExportReport]:
        """Send what changed to these seats."""
        self._run += 1
        chosen = [each for each in self.engine.config.seats if each.key in seats]
        return {each.seat: each for each in run_exports(self.engine, self._run, chosen)}

    def erases(self, name: str) -> Receipt:
        """Erase a person as the privacy officer does."""
        engine = self.engine
        subject = engine.subjects.find(name)
        assert subject is not None
        receipt = erase(
            subject,
            subjects=engine.subjects,
            stores=engine.stores,
            reader=engine.reader,
            tombstones=engine.tombstones,
            actor="test",
        )
        engine.loader.open()
        engine.tick(must_rebuild=True)
        return receipt


def content_of(report: ExportReport) -> dict[str, bytes]:
    """Give the files of a run by name, as they are before compression."""
    return {
        path.name.removesuffix(".gz"): gzip.decompress(path.read_bytes())
        if path.suffix == ".gz"
        else path.read_bytes()
        for path in map(Path, report.files)
    }


@contextmanager
def opened_shop(
    database: Any, folder: Path, change: Callable[[Config], Config] = lambda config: config
) -> Iterator[Shop]:
    """Open a new installation with the seats of `SEATS`, which take everybody."""
    config = _config(prepare_config(folder))
    engine = Engine(
        environment=Environment(data=folder, timezone=ZoneInfo("UTC")),
        config=change(config),
        clickhouse=database,
        keys=Keys.load_or_create(folder / "keys.toml"),
        balance=Balance(),
    )
    engine.open()
    yield Shop(engine)
    engine.jobs.stop()


def _config(folder: Path) -> Config:
    (folder / "customers.toml").write_text(CUSTOMERS_TOML)
    for key, text in PARTNERS.items():
        (folder / "partners" / f"{key}.toml").write_text(text)
    for key in SEATS:
        shutil.copy(folder / "seat_templates" / f"{key}.toml", folder / "seats")
    config = load_config(folder)
    seats = [msgspec.structs.replace(each, min_size=1, partner_min_size=0) for each in config.seats]
    return msgspec.structs.replace(config, seats=tuple(seats))
