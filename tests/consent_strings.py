"""Consent strings written bit by bit, for tests that must know every bit of them."""

from typing import Final

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
DAY_MS: Final = 86_400_000
TCF_AND_NATIONAL: Final = "DBACMM"
"""The header of a GPP string that names the sections 2 and 7."""


def text_of(bits: str) -> str:
    """Pack zeros and ones as an encoder does, filled up to whole characters."""
    padded = bits + "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(padded[at : at + 6], 2)] for at in range(0, len(padded), 6))


def tc_string(
    *purposes: int,
    at_ms: int,
    vendors: tuple[int, ...] = (1, 2, 3),
    disclosed: tuple[int, ...] = (1, 2, 3),
    version: int = 2,
    policy: int = 5,
    vendor_list: int = 42,
    updated_ms: int | None = None,
    limits: tuple[str, ...] = (),
) -> str:
    """Write a TCF string with consent alone, nothing by interest; `limits` are a publisher's."""
    created, updated = (f"{each // 100:036b}" for each in (at_ms, updated_ms or at_ms))
    agreed = "".join(str(int(purpose in purposes)) for purpose in range(1, 25))
    consented, shown = (
        f"{9:016b}0" + "".join(str(int(vendor in ids)) for vendor in range(1, 10))
        for ids in (vendors, disclosed)
    )
    core = (
        f"{version:06b}{created}{updated}{0:042b}{vendor_list:012b}{policy:06b}10{0:012b}{agreed}"
        f"{0:024b}0{0:012b}{consented}{0:017b}{len(limits):012b}{''.join(limits)}"
    )
    return f"{text_of(core)}.{text_of('001' + shown)}"


def limit_of(purpose: int, kind: int, first: int, last: int) -> str:
    """Write a publisher's restriction: 0 not allowed, 1 consent only, 2 interest only."""
    return f"{purpose:06b}{kind:02b}{1:012b}1{first:016b}{last:016b}"


def national_section(
    sale: int = 2,
    sharing: int = 2,
    targeted: int = 2,
    child: int = 0,
    gpc: str = "",
    notice: int = 1,
) -> str:
    """Write the national section of the United States, version 2."""
    choices = f"{sale:02b}{sharing:02b}{targeted:02b}"
    notices = f"{1:02b}{notice:02b}{1:02b}{1:02b}{0:04b}"
    return text_of(f"{2:06b}{notices}{choices}{0:032b}{child:02b}{0:012b}") + gpc


def national(**choices: int | str) -> str:
    """Write a GPP string with the national section alone."""
    return f"DBABLA~{national_section(**choices)}"  # type: ignore[arg-type]
