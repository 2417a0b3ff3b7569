"""Consents in the real database, against a plain dict of everybody's newest signals."""

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from matching.consent.decide import Decision, PartnerConsent, Signals, Use, decide, encode_signals
from matching.consent_store import ConsentColumns, ConsentRow, ConsentStore
from matching.ids import VISITOR_FIRST
from tests.conftest import Database

pytestmark = pytest.mark.clickhouse

YES = Signals(explicit={"audiences": True, "sync": True})
NO = Signals(explicit={"audiences": False, "sync": False})
GPC = Signals(gpc=True)
