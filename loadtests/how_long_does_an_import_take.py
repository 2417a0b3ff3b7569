"""How long does an import take? A CRM's customers with two contacts, two aliases and eight traits.

Imports a CSV in the requests that the command sends, into a new embedded database: all customers
new, the same file again, one whose scores changed for one in ten, and the same customers as Parquet
into another database. Beside it, in the same run, the least that any import does: reading the file
with the csv module and hashing both contacts. With `--http` it is sent once by the command itself.
Run: `uv run python loadtests/THIS [CUSTOMERS]`; `--row` writes its row into README.md.
"""

import csv
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
from importing.crm_file import COLUMNS, write_csv, write_parquet
from readme_row import write_row

from matching.contact_hashes import seal
from matching.contact_ids_store import ContactIdsStore
from matching.crm_import import CrmImport, ImportReport, read_batches
from matching.customer_store import CustomerStore
from matching.partner_ids_store import PartnerIdsStore
from matching.sealing import Sealer
from service.engine.clickhouse import ClickHouse
from service.engine.migrate import migrate
from service.import_files import CUSTOMERS_PER_REQUEST_MAX, batches, format_of

CUSTOMERS: Final = next((int(each) for each in sys.argv[1:] if each.isdigit()), 1_000_000)
KEY: Final = bytes(range(64))
TABLES: Final = ("customers", "contact_forms", "crm_rows", "customer_traits", "partner_ids")
SIZES: Final = """
select table, sum(bytes_on_disk), sum(rows) from system.parts
where active and database = 'jumelle' group by table
"""


class Shop:
    """A new database, and files imported into it."""

    def __init__(self, folder: Path) -> None:
        self.clickhouse = ClickHouse(folder)
        self.client = self.clickhouse.client()
        migrate(self.client)
        self.customers = CustomerStore(self.clickhouse.client())
        self.customers.open()
        self.held_s = 0.0

    def imports(self, path: Path) -> ImportReport:
        """Import a file in the requests of the command; note the longest batch."""
        running = CrmImport(
            COLUMNS,
            customers=self.customers,
            seal=lambda hash_hex: seal(hash_hex, KEY),
            seal_all=Sealer(KEY).seal_all,
            refused=lambda _, __: False,
            refuses_some=lambda: False,
            at_ms=time.time_ns() // 1_000_000,
        )
        form = format_of(path)
        for request in batches(path, form, CUSTOMERS_PER_REQUEST_MAX):
            for batch in read_batches(request.content, form.value):
                begin = time.perf_counter()
                running.take(batch)
                self.held_s = max(self.held_s, time.perf_counter() - begin)
        return running.finish()

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Merge each table and give its bytes and rows."""
        for table in TABLES:
            self.client.command(f"optimize table {table} final")
        return {table: (size, rows) for table, size, rows in self.client.query(SIZES).result_rows}


def least(path: Path) -> None:
    """Read a CSV and hash two of its columns."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for row in rows:
            sha256(row[1].strip().lower().encode()).digest()
            sha256(row[2].encode()).digest()


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="jumelle-import-") as name:
        folder = Path(name)
        first, second = folder / "customers.csv", folder / "changed.csv"
        parquet = folder / "customers.parquet"
        write_csv(first, CUSTOMERS)
        write_csv(second, CUSTOMERS, changed=0.1)
        write_parquet(parquet, CUSTOMERS)
        print(f"{CUSTOMERS:,} customers, {first.stat().st_size / 1e6:.0f} MB of CSV")
        floor = took("csv module and two hashes", lambda: least(first))
        highest = Highest()
        shop = Shop(folder / "shop")
        times = {"floor": floor}
        for what, path in (("new", first), ("again", first), ("changed", second)):
            times[what] = took(f"import, {what}", lambda path=path: shop.imports(path), floor)  # type: ignore[misc]
        print(f"  longest batch {shop.held_s:.2f} s")
        print_sizes(shop)
        shop.clickhouse.close()
        other = Shop(folder / "other")
        times["parquet"] = took("import of Parquet, new", lambda: other.imports(parquet), floor)
        other.clickhouse.close()
        print(f"  memory at most {highest.stop() / 1e6:,.0f} MB more than before")
        if "--http" in sys.argv:
            over_http(folder, first)
        if "--row" in sys.argv:
            write_row(__file__, row_of(times, shop))


def took(what: str, work: Callable[[], Any], floor: float = 0.0) -> float:
    """Do it, print the CPU seconds of this process and give them."""
    begin, wall = time.process_time(), time.perf_counter()
    report = work()
    seconds = time.process_time() - begin
    ratio = f", {seconds / floor:.1f} x the least" if floor else ""
    counts = ""
    if isinstance(report, ImportReport):
        counts = f"; {report.new_customers:,} new, {report.changed_customers:,} changed"
    print(
        f"{what:<28} {seconds:6.1f} CPU s ({time.perf_counter() - wall:.1f} s), "
        f"{CUSTOMERS / seconds:9,.0f} rows per CPU second{ratio}{counts}",
        flush=True,
    )
    return seconds


def print_sizes(shop: Shop) -> None:
    """Print what a customer takes on the disk, contacts as ids in two and in all spaces."""
    partner_ids = PartnerIdsStore(shop.clickhouse.client())
    contacts = ContactIdsStore(shop.clickhouse.client(), partner_ids)
    took("contacts as ids, two spaces", lambda: contacts.complete(at_ms=1_795_000_000_000))
    for table, (size, rows) in sorted(shop.sizes().items()):
        if table in TABLES:
            each = f"{size / CUSTOMERS:6.1f} bytes, {rows / CUSTOMERS:.2f} rows a customer"
            print(f"  {table:<18} {each}")


class Highest:
    """The most memory that this process had beyond what it had at first."""

    def __init__(self) -> None:
        self._begin = self._most = resident()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Give the bytes."""
        self._ended.set()
        self._thread.join()
        return self._most - self._begin

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self._most = max(self._most, resident())


def resident() -> int:
    """Give the resident bytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def over_http(folder: Path, path: Path) -> None:
    """Send the file once by the command to a service of its own."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from running_service import ADMIN_KEY, serving  # noqa: PLC0415 - only here

    with serving(folder / "service", _configure) as served:
        begin = time.perf_counter()
        subprocess.run(
            [Path(sys.executable).with_name("jumelle"), "import", "customers", path, "--json"],
            env={**os.environ, "JUMELLE_URL": served.url, "JUMELLE_API_KEY": ADMIN_KEY},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - begin
        print(
            f"over HTTP by the command     {seconds:6.1f} s, "
            f"{CUSTOMERS / seconds:,.0f} rows a second"
        )


def _configure(config: Path) -> None:
    known = msgspec.to_builtins(COLUMNS)
    lines = ["[aliases]", *(f'{kind} = "{each}"' for kind, each in known["aliases"].items())]
    for name, each in known["traits"].items():
        lines += [f"[traits.{name}]", *(f'{key} = "{text}"' for key, text in each.items())]
    (config / "customers.toml").write_text("\n".join(lines) + "\n")


def row_of(times: dict[str, float], shop: Shop) -> str:
    """Put the figures into one sentence."""
    ratio = {what: seconds / times["floor"] for what, seconds in times.items()}
    return (
        f"{CUSTOMERS:,} customers with 2 contacts, 2 aliases and 8 traits: "
        f"{CUSTOMERS / times['new']:,.0f} rows per CPU second, {ratio['new']:.1f} times reading "
        f"the CSV and hashing the contacts; as Parquet {ratio['parquet']:.1f} times, the same file "
        f"again {ratio['again']:.1f} times, a tenth changed {ratio['changed']:.1f} times; the "
        f"longest batch {shop.held_s:.1f} s"
    )


if __name__ == "__main__":
    main()
