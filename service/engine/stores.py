"""All stores of the database: the whole of what the engine may ask ClickHouse.

What the loader writes, what previews and builds read, and what the operator reads have a client
each, so that a long question does not hold up a chunk.
"""

from audiences.audience_store import AudienceStore
from audiences.bitmap_store import BitmapStore
from audiences.calendar_days import CalendarDays
from audiences.event_store import EventStore
from audiences.exports.export_store import ExportStore
from audiences.membership_store import MembershipStore
from audiences.session_store import SessionStore
from audiences.token_store import TokenStore
from audiences.trait_store import TraitStore
from matching.consent_store import ConsentStore
from matching.contact_ids_store import ContactIdsStore
from matching.customer_store import CustomerStore
from matching.known_names_store import KnownNamesStore
from matching.partner_ids_store import PartnerIdsStore
from matching.people import Limits
from matching.people_store import PeopleStore
from matching.person_rows_store import PersonRowsStore
from matching.third_party_store import ThirdPartyStore
from service.engine.clickhouse import ClickHouse
from service.engine.operation_store import OperationStore


class Stores:
    """One object of each store; those with caches exist once."""

    def __init__(self, clickhouse: ClickHouse, *, days: CalendarDays, limits: Limits) -> None:
        writing, asking = clickhouse.client(), clickhouse.client()
        self.customers = CustomerStore(writing)
        self.people = PeopleStore(writing, limits=limits)
        self.partner_ids = PartnerIdsStore(writing)
        self.contact_ids = ContactIdsStore(writing, self.partner_ids)
        self.third_party = ThirdPartyStore(writing)
        self.consents = ConsentStore(writing)
        self.events = EventStore(writing, days)
        self.operation = OperationStore(clickhouse.client())
        self.asked_events = EventStore(asking, days)
        self.person_rows = PersonRowsStore(asking)
        self.sessions = SessionStore(asking)
        self.names = KnownNamesStore(asking)
        self.traits = TraitStore(asking)
        self.tokens = TokenStore(asking)
        self.audiences = AudienceStore(asking)
        self.bitmaps = BitmapStore(asking)
        self.memberships = MembershipStore(asking)
        self.exports = ExportStore(asking)
