"""Imports and the engine: what changed is news, and what did not is none."""

import threading
from typing import Any

import pytest

from matching.contact_profiles import open_form
from service.engine.crm_imports import OPEN_MAX, CrmImports, ImportOptions, ImportProblem
from service.engine.engine import Engine

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

FILE = b"crm_id,email,loyalty_card,age,opt_in\n1,p1@example.com,K1,30,yes\n2,,K2,40,no\n"
OPTIONS = ImportOptions()


def imports_whole(imports: CrmImports, body: bytes, **options: Any) -> Any:
    """Import a file in one request."""
    return imports.whole(body, ImportOptions(**options), delete_missing=False, force=False)


def test_only_changes_are_news(engine: Engine) -> None:
    """The same file again, or a dry run, rebuilds nothing; one other cell does."""
    imports = CrmImports(engine)
    imports_whole(imports, FILE)
    engine.tick()
    before = engine.criteria
    imports_whole(imports, FILE)
    imports_whole(imports, FILE.replace(b"30", b"31"), dry_run=True)
    engine.tick()
    assert engine.criteria is before
    imports_whole(imports, FILE.replace(b"30", b"31"))
    engine.tick()
    assert engine.criteria is not before


def test_a_changed_address_is_replaced_in_the_table_of_correspondence(engine: Engine) -> None:
    """After the tick the seat would be given the new address alone."""
    imports = CrmImports(engine)
    key = engine.keys.contact_key
    for address in ("p1@example.com", "other@example.com"):
        imports_whole(imports, FILE.replace(b"p1@example.com", address.encode()))
        engine.tick()
        live = engine.stores.contact_ids.live("email_sha256")
        hashes = [open_form("email_sha256", each, key) for each in live.ids]
        subject = engine.subjects.find(address)
        assert subject is not None
        assert live.visitors.tolist() == [subject.customer]
        assert len(hashes) == 1
    assert engine.subjects.find("p1@example.com") is None


def test_the_engine_goes_on_between_batches(engine: Engine) -> None:
    """While a file of many batches is imported, others get the engine's lock in between."""
    rows = b"".join(b"c%d,,,%d,\n" % (number, number % 80) for number in range(60_000))
    done = threading.Event()
    turns = 0

    def work() -> None:
        imports_whole(CrmImports(engine), FILE + rows)
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    while not done.wait(0.001):
        with engine.changing:
            turns += 1
    worker.join()
    assert turns >= 2
    assert len(engine.stores.customers.customers()) == 60_002


def test_imports_are_bounded(engine: Engine) -> None:
    """So many may be open and no more, and a finished one makes room."""
    imports = CrmImports(engine)
    for number in range(OPEN_MAX):
        imports.part(f"import-{number}", FILE, OPTIONS, part=0)
    with pytest.raises(ImportProblem, match="finish one of them first"):
        imports.part("import-more", FILE, OPTIONS, part=0)
    report = imports.finish("import-3", delete_missing=False, force=False)
    assert (report.rows, report.imported) == (2, 2)
    assert imports.part("import-more", FILE, OPTIONS, part=0).imported == 2
