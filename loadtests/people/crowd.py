"""A crowd of visitors, customers and what was observed of them, filled by the database itself.

A tenth as many customers as visitors and twice as many identifications; two visitors in five were
ever identified. One row in a hundred is of a kiosk that everybody uses; 300 customers of ten
million visitors' crowd have 200 browsers each, twice what the limit allows.
"""

from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from matching.ids import VISITOR_FIRST

NOW_MS: Final = 1_795_348_800_000
SPAN_MS: Final = 180 * 86_400_000
ROWS_AN_INSERT: Final = 1_000_000
FILL: Final = """
insert into identifications
with
  ['login', 'login', 'login', 'login', 'purchase', 'purchase', 'purchase', 'server', 'click',
    'click'][1 + cityHash64(intDiv(number, 2)) % 10] as kind,
  kind = 'click' and number % 2 = 1 ? 'page' : kind as how,
  how = 'page' ? number - 1 : number as told,
  told % 100 = 0 as kiosk,
  cityHash64(told) as chance,
  if(kiosk, intDiv(told, 100) % {kiosks:UInt64},
    {kiosks:UInt64} + told * 7919 % ({identified:UInt64} - {kiosks:UInt64})) as rank
select
  intDiv(number, 10000) + 1 as chunk,
  toUInt32(number % 10000) as row,
  fromUnixTimestamp64Milli({first_ms:Int64} + toInt64(number * {step_us:UInt64} / 1000))
    as received_at,
  kind = 'click' ? received_at : received_at - toIntervalSecond(chance % 3600) as at,
  toUInt32({first_visitor:UInt64} + intDiv(rank * 5, 2)) as visitor,
  toUInt32(multiIf(
    how = 'page', 0,
    kiosk or chance % 50 = 1, 1 + chance % {customers:UInt64},
    rank < {kiosks:UInt64} + {crowded:UInt64} * 200, 1 + rank % {crowded:UInt64},
    1 + {crowded:UInt64} + rank % ({customers:UInt64} - {crowded:UInt64}))) as customer,
  how as method,
  toUInt8(chance % 40 = 7) as claimed,
  'shop' as site,
  how = 'click' ? cityHash64(customer, toMonth(received_at)) : 0 as proof
from numbers({from:UInt64}, {count:UInt64})
settings max_insert_threads = 1, max_block_size = 1000000, max_partitions_per_insert_block = 10
"""


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are of everything in a crowd of so many visitors."""

    visitors: int

    @property
    def customers(self) -> int:
        """Tell how many customers there are."""
        return self.visitors // 10

    @property
    def identified(self) -> int:
        """Tell how many visitors were ever identified."""
        return self.visitors * 2 // 5

    @property
    def rows(self) -> int:
        """Tell how many identifications there are."""
        return self.visitors * 2

    @property
    def kiosks(self) -> int:
        """Tell how many visitors are shared devices."""
        return max(self.visitors * 8 // 10_000, 1)

    @property
    def crowded(self) -> int:
        """Tell how many customers have too many browsers."""
        return max(self.visitors * 3 // 100_000, 1)


def fill(client: Client, crowd: Crowd) -> None:
    """Store what was observed of a crowd in the half year before now."""
    for first in range(0, crowd.rows, ROWS_AN_INSERT):
        parameters: dict[str, Any] = {
            "from": first,
            "count": min(ROWS_AN_INSERT, crowd.rows - first),
            "kiosks": crowd.kiosks,
            "identified": crowd.identified,
            "customers": crowd.customers,
            "crowded": crowd.crowded,
            "first_visitor": VISITOR_FIRST,
            "first_ms": NOW_MS - SPAN_MS,
            "step_us": SPAN_MS * 1000 // crowd.rows,
        }
        client.command(FILL, parameters=parameters)
