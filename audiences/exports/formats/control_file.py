"""Control files as Adobe writes them: what was sent, so that a receiver can tell that it has all.

The finished files of an export come in with the root of their names, one control file a root goes
out. Nothing is opened or written here.
"""

from collections.abc import Iterable
from itertools import groupby

import msgspec


class ControlLine(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a sequence."""

    root: str
    name: str
    bytes: int
    lines: int
    """With the header, when there is one."""
    md5: str


def control_files(lines: Iterable[ControlLine]) -> list[tuple[str, bytes]]:
    """Give name and bytes of the control file of each root, in the order of the roots."""
    ordered = sorted(lines, key=lambda each: each.root)
    return [
        (f"{root.rpartition('.')[0] or root}.info", _content(root, list(sequence)))
        for root, sequence in groupby(ordered, key=lambda each: each.root)
    ]


def _content(root: str, sequence: list[ControlLine]) -> bytes:
    files = [
        {
            "FileName": each.name,
            "FileSequenceNumber": number,
            "FileByteSize": each.bytes,
            "FileLineCount": each.lines,
            "md5": each.md5,
        }
        for number, each in enumerate(sequence, 1)
    ]
    totals = {
        "FileName": root,
        "TotalByteSize": sum(each.bytes for each in sequence),
        "TotalNumberFiles": len(sequence),
        "TotalNumberLines": sum(each.lines for each in sequence),
    }
    return msgspec.json.format(msgspec.json.encode({"Files": files, "Totals": totals})) + b"\n"
