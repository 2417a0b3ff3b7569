"""Damage to the spool's files, byte by byte and bit by bit, and the fault lab itself, small."""

import json
import subprocess
import sys
import zlib
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.spool_reader import SpoolReader
from service.tag.record import FIXED, HEAD, MAGIC, Kind, Meta, write_record

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases" / "spool"
sys.path.insert(0, str(ROOT / "loadtests"))
from faults.messages import message_of, name_of, properties_of, record_of  # noqa: E402
from faults.sender import Answer, Log  # noqa: E402
from faults.stored import COUNTS, Stored, sorted_out  # noqa: E402
from faults.verdict import balance_faults, judged  # noqa: E402

FLIPS = 2_000


def record(number: int) -> bytes:
    return write_record(Kind.MESSAGE, number, bytes(16), Meta(site="s"), b"body %d" % number)


def read(folder: Path, ending: str, content: bytes) -> tuple[list[bytes], bytes]:
    """Give the bodies that a dead writer's file is read as, and what of it is set aside."""
    for old in folder.glob("*/*"):
        old.unlink()
    writer = folder / "w0"
    writer.mkdir(parents=True, exist_ok=True)
    (writer / "lock").touch()
    (writer / f"00000001.{ending}").write_bytes(content)
    reader = SpoolReader(folder, next_number=1)
    (chunk,) = reader.claim()
    found = reader.read(chunk).records
    aside = b"".join(path.read_bytes() for path in (folder / "quarantine").iterdir())
    return [each.body for each in found], aside


def test_a_dead_writers_file_may_be_cut_at_every_byte(tmp_path: Path) -> None:
    """Whole records of an open chunk are read, the torn one is cut, and nothing is set aside."""
    records = [record(number) for number in range(6)]
    whole, size = MAGIC + b"".join(records), len(records[0])
    for missing in range(3 * size + 1):
        found, aside = read(tmp_path, "open", whole[: len(whole) - missing])
        kept = 6 - -(-missing // size)
        assert (found, aside) == ([b"body %d" % number for number in range(kept)], b""), missing


def test_a_closed_chunk_that_lost_its_end_is_told_of(tmp_path: Path) -> None:
    """Half a record at the end of a closed chunk is damage, and is set aside."""
    records = [record(number) for number in range(6)]
    whole, size = MAGIC + b"".join(records), len(records[0])
    for missing in range(1, 3 * size + 1):
        found, aside = read(tmp_path, "6.chunk", whole[: len(whole) - missing])
        kept = 6 - -(-missing // size)
        assert found == [b"body %d" % number for number in range(kept)]
        assert aside == whole[len(MAGIC) + kept * size : len(whole) - missing], missing


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    """Of 2,000 chunks with one bit flipped each, all others of their records are read."""
    random, records = Random(7), [record(number) for number in range(20)]
    (tmp_path / "w0").mkdir()
    (tmp_path / "w0" / "lock").touch()
    hits: dict[int, tuple[int, bytes]] = {}
    for number in range(FLIPS):
        hit, bit = random.randrange(20), random.randrange(8 * len(records[0]))
        flipped = bytearray(records[hit])
        flipped[bit // 8] ^= 1 << bit % 8
        hits[number] = hit, bytes(flipped)
        content = MAGIC + b"".join(records[:hit]) + flipped + b"".join(records[hit + 1 :])
        (tmp_path / "w0" / f"{number:08d}.20.chunk").write_bytes(content)
    reader = SpoolReader(tmp_path, next_number=1)
    for chunk in reader.claim():
        hit, damaged = hits.pop(int(chunk.path.name.split("-")[-1].split(".")[0]))
        found = [each.body for each in reader.read(chunk).records]
        assert found == [b"body %d" % number for number in range(20) if number != hit]
        assert (tmp_path / "quarantine" / chunk.path.name).read_bytes() == damaged
    assert hits == {}


@pytest.mark.parametrize("bit", range(8 * len(MAGIC)))
def test_a_flipped_bit_of_the_head_costs_no_record(tmp_path: Path, bit: int) -> None:
    """The mark at the begin of a chunk is set aside when it is damaged; its records are read."""
    head = bytearray(MAGIC)
    head[bit // 8] ^= 1 << bit % 8
    found, aside = read(tmp_path, "2.chunk", bytes(head) + record(0) + record(1))
    assert (found, aside) == ([b"body 0", b"body 1"], bytes(head))


@given(st.lists(st.one_of(st.integers(0, 9), st.binary(min_size=1, max_size=60)), max_size=8))
def test_foreign_bytes_between_records_are_set_aside(
    tmp_path_factory: pytest.TempPathFactory, parts: list[int | bytes]
) -> None:
    """Whatever stands between records, each whole record is read, and the rest is set aside."""
    folder = tmp_path_factory.mktemp("spool")
    made = [record(each) if isinstance(each, int) else each for each in parts]
    found, aside = read(folder, "5.chunk", MAGIC + b"".join(made))
    assert found == [b"body %d" % each for each in parts if isinstance(each, int)]
    assert aside == b"".join(each for each in parts if isinstance(each, bytes))


def test_a_chunk_of_version_1_is_read(tmp_path: Path) -> None:
    """What the first version wrote is read as it was meant, a record of every kind."""
    case = json.loads((CASES / "version_1.json").read_text())
    folder = tmp_path / "w0"
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "00000001.7.chunk").write_bytes((CASES / case["input"]).read_bytes())
    reader = SpoolReader(tmp_path, next_number=1)
    (chunk,) = reader.claim()
    content = reader.read(chunk)
    assert [_shown(each) for each in content.records] == case["expected"]
    assert content.damage == ""
    kinds = [each["kind"] for each in case["expected"]]
    assert {*kinds} == {"MESSAGE", "OFFER", "PARTNER_ID", "CLICK", "CONSENT"}


def _shown(each: Any) -> dict[str, Any]:
    fields = each.meta.__struct_fields__
    meta = {name: value for name in fields if (value := getattr(each.meta, name))}
    return {
        "row": each.row,
        "kind": each.kind.name,
        "received_us": each.received_us,
        "visitor": each.visitor.hex(),
        "meta": {"site": each.meta.site} | meta,
        "body": each.body.decode(),
    }


@pytest.mark.parametrize("kind", [0, 100, 200])
def test_a_record_of_another_version_is_set_aside(tmp_path: Path, kind: int) -> None:
    """A whole record of an unknown kind is kept in quarantine, and its neighbours are read."""
    known = record(1)
    payload = bytes([kind]) + known[HEAD.size + 1 :]
    assert len(payload) > FIXED.size
    unknown = HEAD.pack(len(payload), zlib.crc32(payload)) + payload
    found, aside = read(tmp_path, "3.chunk", MAGIC + record(0) + unknown + record(2))
    assert (found, aside) == ([b"body 0", b"body 2"], unknown)


NAMES = [name_of("x", number) for number in range(4)]
HELD = [json.dumps(properties_of(name)) for name in NAMES]
EQUAL_COUNTS = dict.fromkeys(COUNTS, 4)


@pytest.mark.parametrize(
    ("rows", "acknowledged", "expected"),
    [
        (HELD, NAMES, (0, 0, 0)),
        (HELD[:3], NAMES[:3], (0, 0, 0)),
        (HELD[1:], NAMES, (1, 0, 0)),
        ([*HELD, HELD[0]], NAMES, (0, 1, 0)),
        ([*HELD, HELD[3]], NAMES[:3], (0, 1, 0)),
        ([*HELD[1:], HELD[0].replace("text", "texts")], NAMES, (0, 0, 1)),
        ([*HELD[1:], HELD[0][:-9]], NAMES, (1, 0, 1)),
        ([*HELD, json.dumps(properties_of("nobody"))], NAMES, (0, 0, 1)),
    ],
    ids=["all", "fewer", "lost", "doubled", "another doubled", "changed", "half", "of nobody"],
)
def test_the_lab_sees_what_is_wrong(
    rows: list[str], acknowledged: list[str], expected: tuple[int, int, int]
) -> None:
    """Its checker finds each loss, each double and each half message."""
    found = judged(NAMES, acknowledged, sorted_out(rows, EQUAL_COUNTS), [])
    assert (found.lost, found.doubled, found.partial) == expected
    assert bool(found.faults) == any(expected)


@pytest.mark.parametrize("table", ["events by visitor", "identifications", "visitors", "bad"])
def test_the_lab_sees_tables_that_differ(table: str) -> None:
    """A row too many in one table is a fault although each message is there once."""
    counts = EQUAL_COUNTS | {table: 5}
    found = judged(NAMES, NAMES, sorted_out(HELD, counts), [])
    assert table in " ".join(found.faults)


@pytest.mark.parametrize("wrong", ["off", "in_spool", "bad"])
def test_the_lab_sees_a_balance_that_does_not_hold(wrong: str) -> None:
    """A record too few, one that waits and one that was set aside are faults."""
    good = {"off": 0, "in_spool": 0, "bad": 0}
    assert balance_faults(good) == []
    assert len(balance_faults(good | {wrong: 1})) == 1


def test_the_lab_knows_its_own_messages(tmp_path: Path) -> None:
    """A message's record is read back as what was sent, and a refusal is no acknowledgement."""
    (body,), _ = read(tmp_path, "1.chunk", MAGIC + record_of("x-g"))
    assert json.loads(body) == message_of("x-g")
    log = Log()
    log.told(["x-g"], Answer(503), 0.1)
    log.told(["x-h"], Answer(204), 0.1)
    assert log.acknowledged == {"x-h"}
    assert log.without_retry_after == 1
    assert isinstance(sorted_out([], EQUAL_COUNTS), Stored)


@pytest.mark.clickhouse
@pytest.mark.slow
def test_the_lab_in_short() -> None:
    """Killed all at once under load, real processes keep every message that they acknowledged."""
    command = [sys.executable, "loadtests/what_does_it_survive.py", "--short", "all killed"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    row = next(line for line in made.stdout.splitlines() if line.startswith("| all killed"))
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert made.returncode == 0, made.stdout + made.stderr
    assert int(cells[3].replace(",", "")) > 100
    assert cells[4:7] == ["0", "0", "0"]
    assert cells[8].startswith("held")
