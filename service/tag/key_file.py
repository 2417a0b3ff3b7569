"""The file `keys.toml`: the installation's secrets by key id, or why it cannot be worked with."""

from pathlib import Path
from typing import Annotated

import msgspec


class KeysUnreadable(Exception):
    """A `keys.toml` that this service cannot work with."""


class _Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[int, msgspec.Meta(ge=1, le=255)]
    secret: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{64}$")]


class _KeyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: Annotated[tuple[_Key, ...], msgspec.Meta(min_length=1)]


def read_keys(path: Path) -> dict[int, bytes]:
    """Read every secret; the highest id is the newest."""
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=_KeyFile).key
    except (msgspec.MsgspecError, ValueError) as problem:
        why = str(problem).partition("\n")[0]
        raise KeysUnreadable(f"{path}: {why}; each [[key]] has an id and 64 hex digits") from None
    ids = [each.id for each in found]
    if len(set(ids)) != len(ids):
        twice = next(each for each in ids if ids.count(each) > 1)
        raise KeysUnreadable(f"{path}: the key id {twice} stands twice; give the newer one another")
    return {each.id: bytes.fromhex(each.secret) for each in found}
