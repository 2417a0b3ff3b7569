"""The installation's secret and every signed or encrypted token made from it.

Each purpose derives a key of its own, so that no token is accepted for another purpose. Nothing
here does I/O but `Keys.load_or_create`.
"""

import binascii
import os
import secrets
import struct
import time
from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from matching.ids import VisitorId
from service.tag.key_file import KeysUnreadable, read_keys

__all__ = [
    "Callback",
    "Click",
    "Identified",
    "Keys",
    "KeysUnreadable",
    "TokenError",
    "make_callback",
    "make_click",
    "make_identify",
    "open_callback",
    "read_click",
    "read_identify",
]

SECRET_BYTES: Final = 32
SIGNATURE_BYTES: Final = 10
CALLBACK_LIVES_S: Final = 3600
CLICK_LIVES_S_MAX: Final = 30 * 86_400
IDENTIFY_LIVES_S_MAX: Final = 15 * 60
IDENTIFY_SECRET_BYTES_MIN: Final = 32
CLOCKS_DIFFER_S_MAX: Final = 60
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
_read: Final = binascii.a2b_base64
_write: Final = binascii.b2a_base64


class TokenError(Exception):
    """A token that is unreadable, forged, expired or made for something else."""


class Keys:
    """The installation's secrets by key id; the newest signs, all of them verify."""

    def __init__(self, secrets_by_id: dict[int, bytes]) -> None:
        self._secrets = secrets_by_id
        self.ids = sorted(secrets_by_id)
        self.newest = self.ids[-1]
        self._derived: dict[tuple[int, str, int], bytes] = {}
        self._boxes: dict[tuple[int, str], AESSIV] = {}
        self._begun: dict[tuple[str, int], blake2b] = {}

    @classmethod
    def load_or_create(cls, path: Path) -> "Keys":
        """Read `keys.toml`, or write a new one that only its owner may read (mode 0600)."""
        if not path.exists():
            text = f'[[key]]\nid = 1\nsecret = "{secrets.token_hex(SECRET_BYTES)}"\n'
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
        return cls(read_keys(path))

    def derive(self, purpose: str, *, size: int = 32, key_id: int | None = None) -> bytes:
        """Give the key of one purpose; different purposes share nothing."""
        name = (self.newest if key_id is None else key_id, purpose, size)
        if name not in self._derived:
            if name[0] not in self._secrets:
                raise TokenError(f"key {name[0]} is not one of this installation's")
            self._derived[name] = blake2b(
                purpose.encode(), key=self._secrets[name[0]], digest_size=size
            ).digest()
        return self._derived[name]

    @property
    def contact_key(self) -> bytes:
        """The AES-SIV key under which contact hashes rest; the oldest, so that joins work."""
        return self.derive("contact", size=64, key_id=self.ids[0])

    def sign(self, purpose: str, payload: bytes) -> str:
        """Give `payload` with key id and signature as URL-safe text."""
        key_id = self.newest
        head = bytes([key_id]) + payload
        return _to_text(head + self._signature(purpose, head, key_id))

    def verify(self, purpose: str, text: str, size: int) -> bytes:
        """Give back the payload of `size` bytes, or raise TokenError."""
        raw = _from_text(text)
        if len(raw) != 1 + size + SIGNATURE_BYTES:
            raise TokenError(f"a {purpose} of {len(raw)} bytes, expected {11 + size}")
        head, found = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
        if not compare_digest(found, self._signature(purpose, head, head[0])):
            raise TokenError(f"the signature of this {purpose} is not ours")
        return head[1:]

    def _signature(self, purpose: str, head: bytes, key_id: int) -> bytes:
        begun = self._begun.get((purpose, key_id))
        if begun is None:
            key = self.derive(purpose, key_id=key_id)
            begun = self._begun[purpose, key_id] = blake2b(key=key, digest_size=SIGNATURE_BYTES)
        hashed = begun.copy()  # which is cheaper than to begin with the key again
        hashed.update(head)
        return hashed.digest()

    def seal(self, purpose: str, payload: bytes, associated: Sequence[bytes] = ()) -> str:
        """Encrypt with AES-SIV (RFC 5297); equal input gives equal text."""
        box = self._box(purpose, self.newest).encrypt(payload, list(associated))
        return _to_text(bytes([self.newest]) + box)

    def unseal(self, purpose: str, text: str, associated: Sequence[bytes] = ()) -> bytes:
        """Decrypt what `seal` made for this purpose and associated data, or raise TokenError."""
        raw = _from_text(text)
        if len(raw) < 18:
            raise TokenError(f"a {purpose} of {len(raw)} bytes is too short")
        try:
            return self._box(purpose, raw[0]).decrypt(raw[1:], list(associated))
        except InvalidTag as problem:
            raise TokenError(f"this {purpose} was not made here, or not for this use") from problem

    def _box(self, purpose: str, key_id: int) -> AESSIV:
        """Give the cipher of one purpose; to set one up costs more than to use it."""
        known = self._boxes.get((key_id, purpose))
        if known is None:
            key = self.derive(purpose, size=64, key_id=key_id)
            known = self._boxes[key_id, purpose] = AESSIV(key)
        return known

    def keyed_hash(self, purpose: str, *parts: bytes, size: int = 16) -> bytes:
        """Hash length-prefixed parts with the oldest key, so that rotation changes no id."""
        framed = b"".join(struct.pack("<I", len(part)) + part for part in parts)
        key = self.derive(purpose, key_id=self.ids[0])
        return blake2b(framed, key=key, digest_size=size).digest()


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner's callback brings back: our visitor, named by nobody else."""

    visitor: VisitorId
    nonce: int
    expires_s: int


def make_callback(keys: Keys, partner: str, callback: Callback) -> str:
    """Make the callback token (60 characters): visitor, expiry, nonce, bound to the partner."""
    payload = callback.visitor + struct.pack("<IQ", callback.expires_s, callback.nonce)
    return keys.seal("callback", payload, [partner.encode()])


def open_callback(keys: Keys, partner: str, text: str, *, now_s: int) -> Callback:
    """Read a callback token of this partner, or raise TokenError."""
    payload = keys.unseal("callback", text, [partner.encode()])
    if len(payload) != 28:
        raise TokenError("a callback token of another version")
    expires_s, nonce = struct.unpack_from("<IQ", payload, 16)
    if expires_s < now_s:
        raise TokenError(f"the callback token expired {now_s - expires_s} s ago")
    return Callback(visitor=VisitorId(payload[:16]), nonce=nonce, expires_s=expires_s)


class Click(msgspec.Struct, frozen=True, kw_only=True):
    """What a newsletter link carries: customer, site, target, its times, its own number."""

    crm_id: str
    site: str
    target: str
    expires_s: int
    nonce: int
    made_s: int = 0
    """When the link was made; `make_click` says so."""


def make_click(keys: Keys, click: Click) -> str:
    """Encrypt a newsletter click; refuse one that lives longer than 30 days or leads astray."""
    now_s = int(time.time())
    if click.expires_s > now_s + CLICK_LIVES_S_MAX + CLOCKS_DIFFER_S_MAX:
        raise TokenError("a click link may live 30 days at most; give an earlier end")
    _check_target(click.target)
    made = msgspec.structs.replace(click, made_s=now_s)
    return keys.seal("click", msgspec.msgpack.encode(made))


def read_click(keys: Keys, text: str, *, now_s: int) -> Click:
    """Read a click link, or raise TokenError."""
    try:
        click = msgspec.msgpack.decode(keys.unseal("click", text), type=Click)
    except msgspec.MsgspecError as problem:
        raise TokenError("a click link of another version") from problem
    if click.expires_s < now_s:
        raise TokenError("the click link has expired")
    _check_target(click.target)
    return click


def _check_target(url: str) -> None:
    """Refuse what is no plain web address, or what a browser could read as another one's."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        why = "holds blanks, backslashes or other characters that a URL must encode"
    elif _is_web_url(url):
        return
    else:
        why = "is no http(s) URL with a host and without a user name"
    raise TokenError(f"a click link cannot lead to {url!r}: it {why}")


def _is_web_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and parts.port != 0
        )
    except ValueError:
        return False


def make_identify(secret: str, *, site: str, crm_id: str, now_s: int, visitor: str = "") -> str:
    """Make the JWT (RFC 7519) by which a shop's backend proves who is logged in."""
    claims = {"sub": crm_id, "aud": site, "iat": now_s, "exp": now_s + IDENTIFY_LIVES_S_MAX}
    if visitor:
        claims["vis"] = visitor
    return jwt.encode(claims, secret, algorithm="HS256")


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    """What an identify token proves."""

    crm_id: str
    visitor: str


def read_identify(secret: str, text: str, *, site: str, now_s: int) -> Identified:
    """Check an identify token (HS256, for this site alone, 15 min at most), or raise TokenError."""
    if len(secret.encode()) < IDENTIFY_SECRET_BYTES_MIN:
        raise TokenError(f"the identify secret of site {site} is shorter than 32 bytes")
    try:
        claims = jwt.decode(
            text,
            secret,
            algorithms=["HS256"],
            audience=site,
            options={
                "require": ["sub", "aud", "exp", "iat"],
                "strict_aud": True,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.PyJWTError as problem:
        raise TokenError(f"the identify token was refused: {problem}") from problem
    _check_life(claims["iat"], claims["exp"], claims.get("nbf", 0), now_s)
    visitor = claims.get("vis", "")
    if not isinstance(visitor, str):
        raise TokenError("the identify token's vis is not text")
    return Identified(crm_id=str(claims["sub"]), visitor=visitor)


def _check_life(issued: Any, ends: Any, begins: Any, now_s: int) -> None:
    # Why by hand: the library reads the wall clock, and life above 15 minutes must be refused too.
    if any(type(each) not in {int, float} for each in (issued, ends, begins)):
        raise TokenError("iat, exp and nbf of the identify token must be numbers")
    if not 0 < ends - issued <= IDENTIFY_LIVES_S_MAX:
        raise TokenError("an identify token lives at most 15 minutes")
    if ends < now_s:
        raise TokenError("the identify token has expired")
    if max(issued, begins) > now_s + CLOCKS_DIFFER_S_MAX:
        raise TokenError("the identify token comes from the future; check the shop's clock")


def _to_text(raw: bytes) -> str:
    return _write(raw, newline=False).translate(_TO_URL).rstrip(b"=").decode()


def _from_text(text: str) -> bytes:
    try:
        raw = _read(text.encode("ascii").translate(_FROM_URL) + b"=" * (-len(text) % 4))
    except ValueError as problem:
        raise TokenError("not a token of ours: unreadable text") from problem
    if _to_text(raw) != text:  # which refuses whatever is no letter of these texts, too
        raise TokenError("not a token of ours: not in its canonical form")
    return raw
