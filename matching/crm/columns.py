"""What the columns of a CRM file mean, as `config/customers.toml` says it."""

from typing import Any, Final

import msgspec

from matching.contact_profiles import FORM_OF, SPACES
from matching.crm.values import TraitType

CONTACTS: Final = ("email", "phone")
ADDRESS_NAMES: Final = ("first_name", "last_name")
ADDRESS_TEXTS: Final = ("country", "postal_code", "birth_date")
ADDRESS: Final = (*ADDRESS_NAMES, *ADDRESS_TEXTS)
GOOGLE_ANSWERS: Final = ("ad_user_data", "ad_personalization")
RESERVED_KINDS: Final = frozenset(
    {
        *("crm_id", "opt_in", "erased", "visitor", "partner_id"),
        *(*CONTACTS, *ADDRESS, *GOOGLE_ANSWERS, *FORM_OF),
    }
)

Columns = str | tuple[str, ...]


class TraitColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a trait stands and what it is; `separator` parts the members of a set."""

    column: str
    type: TraitType = TraitType.AUTO
    separator: str = ","


class CrmColumns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the columns of a CRM file mean; without `traits` every other column is one.

    A column that a file has not is left as it is; an empty cell takes away.
    """

    crm_id: str = "crm_id"
    aliases: dict[str, str] = {}
    """Column by kind, such as `loyalty_card = "card number"`."""
    email: Columns = "email"
    phone: Columns = "phone"
    """One column or several; a cell of NDJSON or Parquet may be a list."""
    calling_code: str = ""
    """Country code of phone numbers that are written without one, such as `33`."""
    opt_in: str = "opt_in"
    first_name: str = ""
    last_name: str = ""
    country: str = ""
    """Column of ISO 3166 codes such as `FR`; numbers without calling code are of that country."""
    postal_code: str = ""
    birth_date: str = ""
    ad_user_data: str = ""
    ad_personalization: str = ""
    """Columns of Google's two consents: yes and no in any usual spelling, GRANTED and DENIED."""
    hashed: dict[str, str] = {}
    """Column by id space of contacts that are hashed already, such as `email_uid2 = "uid2"`."""
    traits: dict[str, TraitColumn] | None = None

    def __post_init__(self) -> None:
        if taken := sorted(RESERVED_KINDS & self.aliases.keys()):
            raise ValueError(f"alias {taken[0]!r} is a name of ours; call it otherwise")
        if unknown := sorted(self.hashed.keys() - set(SPACES)):
            raise ValueError(
                f"hashed {unknown[0]!r} is no form of a contact; use one of {', '.join(SPACES)}"
            )

    def contact_columns(self, contact: str) -> tuple[str, ...]:
        """Give the columns of a contact, in order."""
        named: Columns = getattr(self, contact)
        found = (named,) if isinstance(named, str) else named
        return tuple(each for each in found if each)

    def named_columns(self) -> dict[str, str]:
        """Give what each column means that is no trait, by column."""
        found = {self.crm_id: "crm_id", self.opt_in: "opt_in"}
        for kind, column in self.aliases.items():
            found[column] = f"alias {kind}"
        for contact in CONTACTS:
            found |= dict.fromkeys(self.contact_columns(contact), contact)
        for kind in (*ADDRESS, *GOOGLE_ANSWERS):
            found[getattr(self, kind)] = kind
        for space, column in self.hashed.items():
            found[column] = f"hashed {space}"
        found.pop("", None)
        return found

    def trait_columns(self, columns: Any) -> dict[str, TraitColumn]:
        """Give the traits that may stand in a file with these columns, by name."""
        if self.traits is not None:
            return self.traits
        others = self.named_columns()
        return {name: TraitColumn(column=name) for name in columns if name and name not in others}
