"""The Global Vendor List of the TCF: which purposes each vendor declares, and on which basis.

Bytes of a published list (format 3) come in, a `VendorList` goes out. Fetching is not done here.
"""

import msgspec


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    """What one vendor declares: purposes by consent, by legitimate interest, and flexible ones."""

    purposes: tuple[int, ...]
    li_purposes: tuple[int, ...] = msgspec.field(name="legIntPurposes", default=())
    flexible: tuple[int, ...] = msgspec.field(name="flexiblePurposes", default=())
    deleted: str | None = msgspec.field(name="deletedDate", default=None)


class VendorList(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the list; consent strings name the version that they were made with."""

    version: int = msgspec.field(name="vendorListVersion")
    vendors: dict[int, Vendor]
    format: int = msgspec.field(name="gvlSpecificationVersion")


class VendorListError(ValueError):
    """A file is no vendor list that can be trusted to grant anything."""


def read_vendor_list(data: bytes) -> VendorList:
    """Decode a published list and leave deleted vendors out."""
    try:
        published = msgspec.json.decode(data, type=VendorList)
    except msgspec.DecodeError as error:
        raise VendorListError(
            f"The vendor list cannot be read: {error}. Fetch it again from its publisher."
        ) from error
    if published.format != 3:
        raise VendorListError(
            f"Vendor list {published.version} has format {published.format}, not 3. "
            "Fetch the list of TCF 2.2 or newer."
        )
    living = {key: vendor for key, vendor in published.vendors.items() if vendor.deleted is None}
    return VendorList(version=published.version, vendors=living, format=published.format)
