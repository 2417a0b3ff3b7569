"""From a CRM file to customers: a file's bytes and what its columns mean come in, a report goes out.

A row is taken whole or refused with its line and a reason. Contacts are hashed and sealed before
they are stored; nothing here opens a database or a file.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import batched
from typing import Any, Final, Literal, Protocol

import msgspec

from matching.contact_hashes import Seal, contact_hash, redact_text
from matching.crm_rows import UNREADABLE, CrmFileError, CrmFormat, read_rows
from matching.crm_values import BLANK, read_boolean, read_text, read_trait
from matching.customer_store import CustomerName, CustomerStore
from matching.customer_traits_store import CustomerTrait
from matching.identification import is_blocked
