"""What the formats of a seat can be told: one struct for each `format.kind` of a seat's TOML.

Values only. `format_checks.py` judges them, the modules of `formats/` write by them.
"""

from typing import Any, Literal

import msgspec


class Separators(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The five characters that Xandr sets for each member; there is no default."""

    user: str
    segment: str
    field: str
    remove: str
    tag: str


class _Options(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """What a format is told; `kind` says which it is."""


class Delimited(_Options, frozen=True, kw_only=True, tag="delimited"):
    """Xandr's text: one line for each id with all its segments."""

    separators: Separators
    fields: tuple[str, ...]
    tags: dict[str, str] = {}
    """Id space -> the domain number that ends its lines."""
    value: int = 0
    segments_per_line_max: int = 1800


class AvroId(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which branch of Xandr's union says an id, and what is said beside it."""

    branch: Literal["anid", "eid", "ifa", "external_id", "device_id", "hem"]
    source: str = ""
    """Of an `eid`: who gave it."""
    type: str = ""
    """Of an `ifa`."""
    domain: str = ""
    """Of a `device_id`."""


class Avro(_Options, frozen=True, kw_only=True, tag="avro"):
    """Xandr's Avro container: one record for each id with all its segments."""

    id_types: dict[str, AvroId]
    segment: Literal["id", "code"] = "id"
    value: int = 0
    codec: Literal["deflate", "null"] = "deflate"
    block_bytes: int = 64_000
    """A block is closed once its records, uncompressed, reach this."""


class Json(_Options, frozen=True, kw_only=True, tag="json"):
    """The Trade Desk's data requests, one a line."""

    request: dict[str, Any]
    """What every request says besides its items, such as the advertiser."""
    id_keys: dict[str, str]
    """Id space -> the key of its ids in an item."""
    request_bytes_max: int = 2_000_000


class Lines(_Options, frozen=True, kw_only=True, tag="lines"):
    """Text without header: an id and its segments, or an id alone where a file is one segment."""

    separator: str = "\t"
    segment_separator: str = ","
    add: str = "{segment}"
    """What stands in a line for a segment that the id enters or stays in."""
    remove: str = ""
    """The same for one that it leaves, where `membership.removal` is "prefix"."""
    charset: Literal["utf-8", "latin-1", "ascii"] = "utf-8"
    forbidden: tuple[str, ...] = ()
    """Texts that neither id nor segment may hold, besides the separators."""
    segments: Literal["any", "digits"] = "any"
    segments_per_line_max: int = 0
    line_bytes_max: int = 0
    """With the newline; 0 = no limit."""
    lines_per_id_max: int = 0


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column: its header and what stands in it; with `id_space` only that space's ids do."""

    header: str
    value: str
    id_space: str = ""


class _Table(_Options, frozen=True, kw_only=True):
    """What all formats of columns are told."""

    columns: tuple[Column, ...]
    add: str = "add"
    remove: str = "remove"


class Csv(_Table, frozen=True, kw_only=True, tag="csv"):
    """CSV with header: a row for each id and segment, or for each id in a segment's own file."""

    delimiter: str = ","
    quote: Literal["minimal", "all"] = "minimal"
    """With "all" every value is quoted but the empty one."""


class Ndjson(_Table, frozen=True, kw_only=True, tag="ndjson"):
    """One JSON object a line, with the columns as its keys."""


class Parquet(_Table, frozen=True, kw_only=True, tag="parquet"):
    """Parquet with the columns as its fields; files are split by `file.max_rows`."""

    row_group_rows: int = 65_536


class Requests(_Options, frozen=True, kw_only=True, tag="requests"):
    """JSON requests of one segment each, one a line: a body with its members in one list.

    In the texts of `body` and `member`, {segment}, {action}, {id_type} and {account} stand for what
    the request is about, and {id} in `member` for the id.
    """

    body: dict[str, Any]
    members_at: str
    """Where in `body` the list of members goes: its keys, joined by dots."""
    member: Any = "{id}"
    id_types: dict[str, str] = {}
    add: str = "add"
    remove: str = "remove"
    request_bytes_max: int = 2_000_000


class GoogleAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account as Google names one: what product it belongs to and its number there."""

    type: str
    id: str


class DataManager(_Options, frozen=True, kw_only=True, tag="google_data_manager"):
    """Google's Data Manager: bodies of audienceMembers:ingest and :remove, one a line."""

    operating_account: GoogleAccount
    login_account: GoogleAccount | None = None
    linked_account: GoogleAccount | None = None
    members: dict[str, str]
    """Id space -> what it is to Google, such as email_address or mobile_id."""
    ad_user_data: Literal["granted", "denied"]
    ad_personalization: Literal["granted", "denied"]
    terms_accepted: bool = False
    """The operator's word that Customer Match's terms are accepted; contacts need it."""
    encoding: Literal["hex", "base64"] = "hex"
    validate_only: bool = False
    request_bytes_max: int = 10_000_000


class GoogleBulk(_Options, frozen=True, kw_only=True, tag="google_bulk"):
    """Google's bulk uploader: UpdateUsersDataRequest messages, each behind its length."""

    id_types: dict[str, str]
    """Id space -> the name of a UserIdType."""
    data_source_id: int = 0
    request_bytes_max: int = 100_000


Format = (
    Delimited | Avro | Json | Lines | Csv | Ndjson | Parquet | Requests | DataManager | GoogleBulk
)
Table = Csv | Ndjson | Parquet
"""The formats whose rows are made of columns."""
