"""What do broken consents grant? Every decoder is given damaged strings for some minutes: nothing.

Strings of the official libraries are cut, turned over bit by bit, mixed and filled with rubbish. A
decoder must not fail, and whatever is then decided must stand in the damaged string itself, bit for
bit, as a slow reading of zeros and ones finds it. Run: `uv run python loadtests/THIS [MINUTES]`
(for each decoder; half a minute unless said); `--row` writes its row into README.md.
"""

import gzip
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from consent.naive import ALPHABET, agrees, read_tc, sells
from readme_row import write_row

from matching.consent.decide import PartnerConsent, Signals, Use, decide, encode_signals
from matching.consent.gpp import TCF_EU, Gpp, decode_gpp
from matching.consent.signals import SignalsError, decode_signals
from matching.consent.vendor_list import read_vendor_list

CASES: Final = Path(__file__).parents[1] / "tests" / "cases" / "consent"
LISTS: Final = {42: read_vendor_list((CASES / "vendor_list_42.json").read_bytes())}
MINUTES: Final = next((float(each) for each in sys.argv[1:] if not each.startswith("-")), 0.5)
NOW_MS: Final = 1_795_348_800_000
VENDORS: Final = (1, 5, 12, 14, 55)
OURS: Final = {
    Use.STORE: (1,),
    Use.AUDIENCES: (3, 9),
    Use.LOOKALIKES: (3, 9, 10),
    Use.PERSONALISE: (4,),
}
THEIRS: Final = {Use.SYNC: 1, Use.EXPORT: 4}
RUBBISH: Final = ["", ".", "~", "=", "\n", "A" * 200, "_" * 40, "\u00e9", "\ud800", "1YNN", "DBAA"]


class GrantedError(Exception):
    """A damaged string was read as a permission that does not stand in it."""


def main() -> None:
    """Damage and decide, decoder by decoder; print what became of it."""
    rng = random.Random(time.time_ns())
    told = []
    for name, given, check in (
        ("TCF", texts_of("tcf_vectors.txt.gz"), check_tcf),
        ("GPP", texts_of("gpp_vectors.txt.gz"), check_gpp),
        ("US privacy", [f"1{a}{b}{c}" for a in "YN-" for b in "YN-" for c in "YN-"], check_usp),
        ("stored signals", stored_texts(), check_stored),
    ):
        until, count, allowed = time.monotonic() + MINUTES * 60, 0, 0
        while time.monotonic() < until:
            text = damaged(rng, given)
            count += 1
            allowed += ask(check, text)
        told.append(f"{name} {count:,} ({allowed:,} still say yes themselves)")
    figure = (
        f"nothing that they do not say, and no failure: {', '.join(told)}; {MINUTES:g} minutes each"
    )
    print(figure)
    if "--row" in sys.argv:
        write_row(__file__, figure)


def ask(check: Callable[[str], bool], text: str) -> bool:
    """Check one text, and name it when something is wrong."""
    try:
        return check(text)
    except Exception as problem:
        raise SystemExit(f"{text!r}: {problem!r}") from problem


def texts_of(name: str) -> list[str]:
    """Read the strings of a file of vectors."""
    lines = gzip.decompress((CASES / name).read_bytes()).decode().splitlines()
    return [line.split(" ")[0] for line in lines]


def stored_texts() -> list[str]:
    """Give texts of signals as they are stored, all of them denials."""
    return [
        encode_signals(each)
        for each in (
            Signals(opted_out=True),
            Signals(explicit={"store": False}, gpc=True),
            Signals(us_privacy="1YYN", gdpr=True, tcf="CPXX", gpp_sid=(2, 7)),
        )
    ]


def damaged(rng: random.Random, given: list[str]) -> str:
    """Damage a string in one to three ways."""
    text = rng.choice(given)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(6):
            case 0:
                text = text[:at]
            case 1:
                text = text[:at] + rng.choice(RUBBISH) + text[at:]
            case 2:
                text = text[:at] + rng.choice(given)[at:]
            case 3:
                text = text[:at] + text[at + rng.randint(1, 8) :]
            case _ if at < len(text) and text[at] in ALPHABET:
                flipped = ALPHABET.index(text[at]) ^ (1 << rng.randrange(6))
                text = text[:at] + ALPHABET[flipped] + text[at + 1 :]
            case _:
                text += rng.choice(ALPHABET)
    return text


def allows(signals: Signals, use: Use, vendor: int = 0) -> bool:
    """Decide on a site that denies whatever nobody permitted."""
    partner = PartnerConsent(gvl_id=vendor) if vendor else None
    return decide(
        signals, use, default="deny", partner=partner, vendor_lists=LISTS, as_of_ms=NOW_MS
    ).allowed


def check_tcf(text: str) -> bool:
    """Compare every use of a TC string with what it says."""
    signals, some = Signals(tcf=text, gdpr=True), False
    for use, purposes in OURS.items():
        if allows(signals, use):
            some, agreed = True, read_tc(text)
            if agreed is None or not all(agrees(agreed, 0, each) for each in purposes):
                raise GrantedError(use)
    for use, purpose in THEIRS.items():
        for vendor in VENDORS:
            if allows(signals, use, vendor):
                some, agreed = True, read_tc(text)
                if agreed is None or not agrees(agreed, vendor, purpose):
                    raise GrantedError((use, vendor))
    return some


def check_gpp(text: str) -> bool:
    """Compare a sale under each of three sections, or under the TCF's, with what they say."""
    gpp = decode_gpp(text)
    parts = gpp.sections if isinstance(gpp, Gpp) else {}
    some = False
    for section in (7, 8, 9):
        if allows(Signals(gpp=text, gpp_sid=(section,)), Use.EXPORT, 1):
            some = True
            if not sells(section, parts.get(section, "")):
                raise GrantedError(section)
    if allows(Signals(gpp=text), Use.EXPORT, 1):
        some = True
        agreed = read_tc(parts.get(TCF_EU, ""))
        if agreed is None or not agrees(agreed, 1, 4):
            raise GrantedError("no section that applies permits it")
    return some


def check_usp(text: str) -> bool:
    """See that a string of US privacy never permits, and does not deny in its one form alone."""
    if allows(Signals(us_privacy=text), Use.EXPORT, 1):
        raise GrantedError("it permits")
    denied = not decide(Signals(us_privacy=text), Use.EXPORT, default="allow").allowed
    is_free = len(text) == 4 and text[0] == "1" and set(text[1:]) <= set("YN-") and text[2] != "Y"
    if not denied and text and not is_free:
        raise GrantedError("it does not deny")
    return not denied


def check_stored(text: str) -> bool:
    """See that a stored text is refused, or is signals that decide without failing."""
    try:
        signals = decode_signals(text)
    except SignalsError:
        return False
    return any(allows(signals, use) for use in Use)


if __name__ == "__main__":
    main()
