"""E-mail addresses and phones, known by sealed hashes only.

Texts and JSON values come in; the same come out with every address and number replaced by
`contact:` and its SHA-256, AES-SIV-encrypted under the caller's key. What is neither written as an
address or international number nor named as one is left alone.
"""

import re
import unicodedata
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final
from urllib.parse import unquote

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

Seal = Callable[[str], str]
"""Turns a hash in hex into its sealed form: `seal` with the installation's key."""

PREFIX: Final = "contact:"
PURPOSE: Final = [b"jumelle contact hash"]
DIGITS_MIN, DIGITS_MAX = 7, 15
DIGITS_OF_NAMED_MIN: Final = 5
DEPTH_MAX: Final = 100

EMAIL_NAMES: Final = frozenset({"email", "mail", "emailaddress", "emailid"})
EMAIL_ENDS: Final = ("email", "emailaddress")
PHONE_NAMES: Final = frozenset(
    {
        *("phone", "phonenumber", "mobilephone", "cellphone", "telephone", "telephonenumber"),
        *("tel", "mobile", "mobilenumber", "msisdn"),
    }
)
PHONE_ENDS: Final = ("phone", "phonenumber", "telephone", "mobile")
HASH_TRACES: Final = ("mail", "phone", "mobile")

GOODS_ENDS: Final = (
    *("sku", "ean", "gtin", "upc", "isbn", "barcode", "reference", "productid", "variantid"),
    *("orderid", "checkoutid", "cartid", "transactionid", "couponid", "messageid"),
)
"""Fields whose numbers may begin with 00 and are no phones; `id` alone is one as well."""

# Without any of these a text holds neither address nor number nor parameter.
_SIGNS: Final = ("@", "%", "+", "=")
# The signs as full-width letters, which every browser takes for the plain ones.
_WIDE_SIGNS: Final = ("\uff20", "\ufe6b", "\uff0b", "\ufe62")
_WIDE_SIGNS_BYTES: Final = tuple(each.encode() for each in _WIDE_SIGNS)
_SEPARATORS: Final = "_-. "

_LOCAL = r"(?:[\w.+-]|(?<=\w)'(?=\w)|%(?:25)*(?:2B|27))"
_AT = r"(?:@|%(?:25)*40)"
_DOMAIN = r"(?:[\w-]+\.)+[^\W\d_]{2,}"
# An address begins where a word does, or behind an encoded character, which is kept as it was:
# after `%3D`, not at its `3` or `D`.
_BEGIN = r"(?:(?<![\w.+%-])(?<!\w')|(?P<kept>%(?:25){0,4}(?!2B|27|40)[0-9A-F]{2}))"
_EMAIL = re.compile(rf"{_BEGIN}(?P<found>{_LOCAL}{{1,200}}{_AT}{_DOMAIN})", re.IGNORECASE)
_WHOLE_EMAIL = re.compile(rf"[^\s@]{{1,200}}@{_DOMAIN}")
_PHONE = re.compile(
    rf"{_BEGIN}(?P<found>\+[1-9](?:(?:[ .()-]|%20){{0,2}}\d){{6,14}}"
    r"|%(?:25)*2B[1-9](?:(?:[ +.()-]|%20){0,2}\d){6,14})(?!\d)",
    re.IGNORECASE,
)
_QUOTE = r"(?:\"|%(?:25)*22)"
_QUOTED_EMAIL = re.compile(
    rf"(?P<kept>)(?P<found>{_QUOTE}(?:\\\"|(?!{_QUOTE})[^\r\n@]){{1,64}}{_QUOTE}{_AT}{_DOMAIN})",
    re.IGNORECASE,
)
# Why ten digits at least: shorter ones are zero-padded numbers of goods and customers.
_PHONE_OF_00 = re.compile(
    rf"{_BEGIN}(?<!\d:)(?P<found>00 ?[1-9](?:(?:[ .()-]|%20){{0,2}}\d){{9,14}})(?!\d)",
    re.IGNORECASE,
)
_MAY_HOLD_00 = re.compile(
    rb"00(?:(?<![\w.+%-]00)|(?<=%[0-9A-Fa-f]{2}00)) ?[1-9](?:(?:[ .()-]|%20){0,2}[0-9]){9}"
)
# `@`, `+` and `.` as HTML writes them.
_ENTITY = re.compile(
    r"&(?:amp;){0,3}(?:#0{0,6}(?P<ten>64|43|46)(?:;|(?!\d))"
    r"|#x0{0,6}(?P<sixteen>40|2b|2e)(?:;|(?![0-9a-f]))|(?P<name>commat|plus|period);)",
    re.IGNORECASE,
)
_AN_ENTITY = re.compile(rb"&(?:amp;){0,3}(?:#|commat|plus|period)", re.IGNORECASE)
_ENTITIES: Final = dict.fromkeys(("64", "40", "commat"), "@") | {
    **dict.fromkeys(("43", "2b", "plus"), "+"),
    **dict.fromkeys(("46", "2e", "period"), "."),
}
_NAMED_PARAMETER = re.compile(r"(?<![^?&;#\s])([A-Za-z][\w.\[\]-]{1,60})=([^&;#\s\"'<>]+)")
_SEALED = re.compile(r"contact:[0-9a-f]{96}")
_HASH = re.compile(r"[0-9A-Fa-f]{64}")
_PHONE_CHARACTERS = frozenset("+0123456789 .()-/")


class SealError(Exception):
    """A sealed hash that another key made, or that was damaged."""


def contact_hash(kind: str, text: str, *, calling_code: str = "") -> str:
    """Give the SHA-256 in hex of an `email` or `phone`; raise ValueError when it is unreadable."""
    if kind == "email":
        normal = normalise_email(text)
    elif kind == "phone":
        normal = normalise_phone(text, calling_code=calling_code)
    else:
        raise ValueError(f"Unknown kind of contact {kind!r}; use email or phone.")
    if normal is None:
        raise ValueError(f"Unreadable {kind}; write it as name@example.com or +33612345678.")
    return hash_of(normal)


def normalise_email(text: str) -> str | None:
    """Trim and lower-case an address; None when it is none."""
    address = text.strip().lower()
    return address if _WHOLE_EMAIL.fullmatch(address) else None


def normalise_phone(text: str, *, calling_code: str = "") -> str | None:
    """Write a number as E.164 (`+33612345678`); a national one needs the country's code."""
    number = text.strip().replace("(0)", "")
    if set(number) - _PHONE_CHARACTERS:
        return None
    digits = _digits(number)
    if number.startswith("00"):
        digits = digits[2:]
    elif not number.startswith("+"):
        if not calling_code:
            return None
        digits = _digits(calling_code) + digits.removeprefix("0")
    good = DIGITS_MIN <= len(digits) <= DIGITS_MAX and not digits.startswith("0")
    return f"+{digits}" if good else None


def seal(hash_hex: str, key: bytes) -> str:
    """Encrypt a hash; the same hash and key always give the same text, so that joins work."""
    return AESSIV(key).encrypt(bytes.fromhex(hash_hex), PURPOSE).hex()


def open_sealed(sealed: str, key: bytes) -> str:
    """Give the hash in hex back; raise SealError when this key did not seal it."""
    try:
        raw = bytes.fromhex(sealed.removeprefix(PREFIX))
        return AESSIV(key).decrypt(raw, PURPOSE).hex()
    except (ValueError, InvalidTag) as error:
        raise SealError(
            f"Contact hash {sealed[:12]}... cannot be opened: another key sealed it or it is "
            "damaged; check that the keys are those of this installation."
        ) from error


def may_hold_contact(raw: bytes) -> bool:
    """Tell quickly whether a JSON body is worth redacting; False means it holds no contact."""
    if b"@" in raw or b"+" in raw or b"\\u" in raw:
        return True
    if not raw.isascii() and any(sign in raw for sign in _WIDE_SIGNS_BYTES):
        return True
    if b"&" in raw and _AN_ENTITY.search(raw):
        return True
    if b"00" in raw and _MAY_HOLD_00.search(raw):
        return True
    bare = raw.lower().translate(None, _SEPARATORS.encode())
    # Why not a loop or an expression: at the door this is a third of their cost.
    return (
        (b"%" in bare and (b"%40" in bare or b"2540" in bare or b"2b" in bare))
        or b"mail" in bare
        or b"phone" in bare
        or b"mobile" in bare
        or b'"tel"' in bare
        or b"tel=" in bare
        or b"msisdn" in bare
    )


def redact_text(text: str, seal: Seal) -> str:
    """Replace addresses, international numbers and parameters named so.

    They may be URL-encoded, or written as HTML entities or in full width.
    """
    return _redact_text(text, seal, of_goods=False)


def crm_id_of(text: str, seal: Seal) -> str:
    """Write a CRM id as it is stored, wherever it comes in: trimmed, contacts in it sealed."""
    return redact_text(text.strip(), seal)


def redact_json(value: Any, seal: Seal) -> Any:
    """Replace every contact in a JSON value: in texts and keys, and whole fields named so.

    What is nested deeper than a hundred levels is left out.
    """
    return _redact(value, seal, name="", depth=0)


def _redact(value: Any, seal: Seal, *, name: str, depth: int) -> Any:
    if depth > DEPTH_MAX:
        return None
    if isinstance(value, dict):
        return {
            redact_text(key, seal): _redact(each, seal, name=_bare(key), depth=depth + 1)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_redact(each, seal, name=name, depth=depth + 1) for each in value]
    if isinstance(value, str):
        if _is_named(name, value):
            return _replaced(value, seal)
        return _redact_text(value, seal, of_goods=name == "id" or name.endswith(GOODS_ENDS))
    if isinstance(value, int) and not isinstance(value, bool) and _is_named(name, str(value)):
        return _replaced(str(value), seal)
    return value


def _redact_text(text: str, seal: Seal, *, of_goods: bool) -> str:
    plain = _plain(text)
    redacted = plain
    if any(sign in plain for sign in _SIGNS):
        for contact in (_QUOTED_EMAIL, _EMAIL, _PHONE):
            redacted = contact.sub(lambda found: _redact_found(found, seal), redacted)
        redacted = _NAMED_PARAMETER.sub(lambda found: _redact_parameter(found, seal), redacted)
    if not of_goods and "00" in redacted:
        redacted = _PHONE_OF_00.sub(lambda found: _redact_found(found, seal), redacted)
    # Why not always the plain text: what holds no contact stands as it was written.
    return text if redacted == plain else redacted


def _plain(text: str) -> str:
    """Write full-width signs and those of HTML as themselves."""
    if not text.isascii() and any(sign in text for sign in _WIDE_SIGNS):
        text = unicodedata.normalize("NFKC", text)
    return _ENTITY.sub(_sign_of, text) if "&" in text else text


def _sign_of(found: re.Match[str]) -> str:
    return _ENTITIES[(found["ten"] or found["sixteen"] or found["name"]).lower()]


def _redact_found(found: re.Match[str], seal: Seal) -> str:
    return (found["kept"] or "") + _replaced(_decoded(found["found"]).strip("'"), seal)


def _redact_parameter(found: re.Match[str], seal: Seal) -> str:
    value = _decoded(found[2])
    if not _is_named(_bare(found[1]), value):
        return found[0]
    return f"{found[1]}={_replaced(value, seal)}"


def _is_named(name: str, text: str) -> bool:
    """Tell whether a field of this bare name holds a contact, or the plain hash of one."""
    if not name or not text.strip() or PREFIX in text:
        return False
    if name in EMAIL_NAMES or name.endswith(EMAIL_ENDS):
        return True
    if any(trace in name for trace in HASH_TRACES) and _HASH.fullmatch(text.strip()):
        return True
    digits = len(_digits(text))
    if name in PHONE_NAMES:
        return digits >= DIGITS_OF_NAMED_MIN
    return name.endswith(PHONE_ENDS) and digits >= DIGITS_MIN and _looks_like_phone(text)


def _replaced(text: str, seal: Seal) -> str:
    """Hash a contact as well as it can be normalised; a ready hash is sealed as it is."""
    text = text.strip()
    if _HASH.fullmatch(text):
        return PREFIX + seal(text.lower())
    normal = normalise_email(text) or normalise_phone(text)
    if normal is None:
        normal = _digits(text) if _looks_like_phone(text) else text.lower()
    return PREFIX + seal(hash_of(normal))


def hash_of(normal: str) -> str:
    """Give the SHA-256 of a normalised address or number, as hex."""
    return sha256(normal.encode(errors="surrogatepass")).hexdigest()


def _looks_like_phone(text: str) -> bool:
    return not set(text) - _PHONE_CHARACTERS


def _digits(text: str) -> str:
    return "".join(each for each in text if each in "0123456789")


def _bare(name: str) -> str:
    """Write a field's name without case and separators: `E-Mail` and `e_mail` are `email`."""
    return "".join(each for each in name.lower() if each not in _SEPARATORS)


def _decoded(text: str) -> str:
    """Undo URL encoding, also when it was done several times over."""
    for _ in range(3):
        plain = unquote(text)
        if plain == text:
            break
        text = plain
    return text
