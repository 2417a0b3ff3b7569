"""Files of the spool that are cut, flipped, foreign, doubled, or of another version."""

from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Final
from zlib import crc32

from faults.house import ROOT, House
from faults.messages import chunk_of, name_of, properties_of, record_of
from faults.sender import Log
from faults.tags import DRAIN_S, opened
from faults.verdict import Findings, Lab, Outcome, settled

from service.tag.record import HEAD, MAGIC

TEXT_LENGTH_MIN: Final = 64
LATER_KIND: Final = 200
RECORDS_A_CHUNK: Final = 40
FLIPS_A_CHUNK: Final = 10
EARLIER: Final = ROOT / "tests" / "cases" / "spool"


def cut_anywhere(lab: Lab, folder: Path) -> Outcome:
    """Cut a dead writer's chunk at every byte of its last three records: whole ones are loaded."""
    log = Log()
    size = len(record_of(alike("cut-0000", 1)[0]))
    step = lab.times(1, 97)
    with opened(folder) as house:
        cuts = range(3 * size, -1, -step)
        for number, missing in enumerate(cuts):
            names = alike(f"cut-{number:04d}", 6)
            whole = chunk_of(names)
            place(house, f"cut-{number}", "00000001.open", whole[: len(whole) - missing])
            kept = names[: 6 - -(-missing // size)]
            log.sent.update(kept)
            log.acknowledged.update(kept)
        findings = loaded(house, log)
        faults = [f"{path.name} was set aside" for path in house.quarantined()]
    return Outcome(times=len(cuts), findings=findings, faults=faults)


def bits_flipped(lab: Lab, folder: Path) -> Outcome:
    """Flip 2,000 bits, ten in each of 200 closed chunks: the other records are loaded."""
    chunks, random, log = lab.times(200, 6), Random(5), Log()
    expected: dict[str, bytes] = {}
    with opened(folder) as house:
        for number in range(chunks):
            names = [name_of(f"flip-{number}", each) for each in range(RECORDS_A_CHUNK)]
            records = [record_of(name) for name in names]
            hit = sorted(random.sample(range(RECORDS_A_CHUNK), FLIPS_A_CHUNK))
            for each in hit:
                records[each] = flipped(records[each], random)
            path = place(house, f"flip-{number}", closed(1, names), MAGIC + b"".join(records))
            expected[path.parent.name] = b"".join(records[each] for each in hit)
            kept = [name for each, name in enumerate(names) if each not in hit]
            log.sent.update(kept)
            log.acknowledged.update(kept)
        findings = loaded(house, log, off=chunks * FLIPS_A_CHUNK)
        faults = _not_set_aside(house, expected)
    return Outcome(times=chunks * FLIPS_A_CHUNK, findings=findings, faults=faults)


def _not_set_aside(house: House, expected: dict[str, bytes]) -> list[str]:
    faults = []
    for folder, damaged in expected.items():
        found = [path for path in house.quarantined() if f"-{folder}-" in path.name]
        if [path.read_bytes() for path in found] != [damaged]:
            faults.append(f"quarantine of {folder}: {[path.name for path in found]}")
    return faults[:3]


def foreign_files(lab: Lab, folder: Path) -> Outcome:
    """Put what is no chunk, empty, doubled or nobody's into the spool: all real ones are loaded."""
    log = Log()
    names = [name_of("good", each) for each in range(20)]
    log.sent.update(names)
    log.acknowledged.update(names)
    with opened(folder) as house:
        chunk = chunk_of(names)
        place(house, "a-writer", closed(1, names), chunk)
        place(house, "its-copy", closed(1, names), chunk)
        place(house, "a-writer", "00000002.0.chunk", b"")
        place(house, "a-writer", "00000003.open", b"")
        place(house, "a-writer", "notes.txt", b"not ours")
        place(house, "of-a-camera", "holiday.chunk", bytes.fromhex("ffd8ffe0") + bytes(range(256)))
        place(house, "of-zeros", "00000001.5.chunk", bytes(4096))
        (house.spool / "lost+found").mkdir()
        (house.spool / "a-writer" / "folder.chunk").mkdir()
        (house.spool / "a-writer" / "nowhere.chunk").symlink_to(house.spool / "nowhere")
        (house.spool / "README").write_text("what is this folder?")
        place(house, "claimed", ".nfs000000000000beef", b"left over")
        place(house, "claimed", "notes.txt", b"left over")
        # Five records that its name promises are not in the chunk of zeros.
        findings = loaded(house, log, off=5)
        aside = [path.name for path in house.quarantined()]
        kept = (house.spool / "a-writer" / "notes.txt").exists()
    faults = [
        f"{what} was not set aside"
        for what in ("of-a-camera-holiday", "of-zeros-00000001")
        if not any(what in name for name in aside)
    ]
    if not kept:
        faults.append("a file that is not ours was taken away")
    return Outcome(times=lab.times(11, 11), findings=findings, faults=faults)


def earlier_version(lab: Lab, folder: Path) -> Outcome:
    """Load a chunk that an earlier version wrote, and one with a record of a later version."""
    log = Log()
    known = [name_of("earlier", each) for each in range(3)]
    later = [name_of("later", each) for each in range(4)]
    log.sent.update(known, later)
    log.acknowledged.update(known, later)
    with opened(folder) as house:
        place(house, "earlier", "00000001.7.chunk", (EARLIER / "version_1.chunk").read_bytes())
        records = [record_of(name) for name in later]
        unknown = of_later_version(records[0])
        whole = MAGIC + b"".join([*records[:2], unknown, *records[2:]])
        place(house, "later", "00000001.5.chunk", whole)
        findings = loaded(house, log, off=1)
        aside = [path.read_bytes() for path in house.quarantined()]
    faults = [] if aside == [unknown] else ["the unknown record is not in quarantine"]
    return Outcome(times=lab.times(2, 2), findings=findings, faults=faults)


def of_later_version(record: bytes) -> bytes:
    """Give a whole record of a kind that this version does not know."""
    payload = bytes([LATER_KIND]) + record[HEAD.size + 1 :]
    return HEAD.pack(len(payload), crc32(payload)) + payload


def alike(series: str, many: int) -> list[str]:
    """Give names whose records have one length."""
    found = (name_of(series, number) for number in count(0x10000))
    shortest = (name for name in found if len(properties_of(name)["text"]) == TEXT_LENGTH_MIN)
    return list(islice(shortest, many))


def flipped(record: bytes, random: Random) -> bytes:
    """Flip one bit of a record."""
    bit = random.randrange(8 * len(record))
    changed = bytearray(record)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def closed(number: int, names: Sequence[str]) -> str:
    """Name a closed chunk."""
    return f"{number:08d}.{len(names)}.chunk"


def place(house: House, writer: str, name: str, content: bytes) -> Path:
    """Leave a file where a writer that died would have."""
    folder = house.spool / writer
    folder.mkdir(parents=True, exist_ok=True)
    if writer != "claimed":
        (folder / "lock").touch()
    path = folder / name
    path.write_bytes(content)
    return path


def loaded(house: House, log: Log, *, off: int = 0) -> Findings:
    """Let an engine load what is there, and judge."""
    engine = house.starts_engine()
    house.waits_ready(house.port, engine, s=DRAIN_S)  # it loads what waits before it answers
    ready, _ = house.drains(s=DRAIN_S)
    house.ends(engine)
    return settled(house, log, ready=ready, off=off)
