"""What was acknowledged is compared with what is stored; an experiment's row comes out.

Exactly once: every acknowledged message is there once, no other is there twice, none is there in
part, the tables agree with each other and the balance is exact.
"""

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

import msgspec
from faults.house import House
from faults.sender import Log
from faults.stored import Stored, read_stored

SHOWN_MAX: Final = 3


class Skipped(Exception):
    """This machine cannot make the fault; the text says why."""


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What became of what was sent."""

    sent: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    partial: int = 0
    faults: list[str] = []
    """Everything that must not be, in words."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment found; `faults` are violations of its own."""

    times: int
    findings: Findings
    faults: list[str] = []
    note: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table."""

    experiment: str
    times: int
    findings: Findings
    seconds: float
    verdict: str
    note: str

    @property
    def is_violated(self) -> bool:
        """Whether something did not hold."""
        return self.verdict.startswith("VIOLATED")


class Lab(msgspec.Struct, frozen=True, kw_only=True):
    """How experiments are made: where, and whether in the short form."""

    folder: Path
    is_short: bool
    outage_s: float

    def times(self, full: int, short: int) -> int:
        """Say how often a fault is repeated."""
        return short if self.is_short else full


Experiment = Callable[[Lab, Path], Outcome]


def row_of(name: str, experiment: Experiment, lab: Lab) -> Row:
    """Make an experiment in a folder of its own and give its row."""
    begin = time.monotonic()
    try:
        found = experiment(lab, lab.folder / folder_of(name))
    except Skipped as why:
        found, verdict = Outcome(times=0, findings=Findings(), note=str(why)), "skipped"
    except Exception as problem:  # noqa: BLE001 - whatever went wrong, the other rows are wanted
        found = Outcome(times=0, findings=Findings(), note=f"{type(problem).__name__}: {problem}")
        verdict = "VIOLATED"
    else:
        faults = [*found.findings.faults, *found.faults]
        verdict = f"VIOLATED: {'; '.join(faults)}" if faults else "held"
    return Row(
        experiment=name,
        times=found.times,
        findings=found.findings,
        seconds=time.monotonic() - begin,
        verdict=verdict,
        note=found.note,
    )


def folder_of(name: str) -> str:
    """Give the folder of an experiment; the loader of libraries takes no blanks in a path."""
    return name.replace(",", "").replace(" ", "-")


def settled(
    house: House, log: Log, *, ready: dict[str, Any] | None = None, off: int = 0
) -> Findings:
    """Judge what a house whose engine has drained the spool and ended holds.

    `ready` is the engine's balance after that; `off` is how many records must be missing in it.
    """
    faults = [] if ready is None else balance_faults(ready, off=off)
    if log.without_retry_after:
        faults.append(f"{log.without_retry_after} refusals without Retry-After")
    return judged(log.sent, log.acknowledged, read_stored(house), faults)


def judged(
    sent: Collection[str], acknowledged: Collection[str], stored: Stored, faults: list[str]
) -> Findings:
    """Compare what was acknowledged with what is stored."""
    lost = sorted(name for name in acknowledged if not stored.times.get(name))
    doubled = sorted(name for name, times in stored.times.items() if times > 1)
    strange = sorted(stored.times.keys() - set(sent))
    told = [
        f"{len(some)} {what}, such as {', '.join(some[:SHOWN_MAX])}"
        for what, some in (
            ("lost", lost),
            ("doubled", doubled),
            ("in part", stored.partial),
            ("that nobody sent", strange),
        )
        if some
    ]
    return Findings(
        sent=len(sent),
        acknowledged=len(acknowledged),
        lost=len(lost),
        doubled=len(doubled),
        partial=len(stored.partial) + len(strange),
        faults=[*told, *stored.contradictions, *faults],
    )


def balance_faults(ready: dict[str, Any], *, off: int = 0) -> list[str]:
    """Say what is wrong with an engine's balance when nothing waits any more."""
    faults = []
    if ready["off"] != off:
        faults.append(f"the balance is off by {ready['off']} records, not by {off}")
    if ready["in_spool"]:
        faults.append(f"{ready['in_spool']} records are said to wait")
    if ready["bad"]:
        faults.append(f"{ready['bad']} good records were set aside as bad")
    return faults
