"""Builds audiences: evaluates their definitions and holds the members that stand.

In go keys and a moment, out come reports; the members of all audiences are in memory and, when
they changed, in the bitmap store. A build that fails leaves the old members.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.audience_store import (
    AudienceStore,
    Build,
    BuildStatus,
    SavedAudience,
)
from audiences.bitmap_store import BitmapStore
from audiences.criteria import Criteria
from audiences.definitions import build_order
from audiences.rule import Audience
from matching.people import Identity

DETAIL_CHARACTERS_MAX: Final = 1_000


class NotBuiltError(LookupError):
    """An audience has no members yet, because no build of it has succeeded."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The members that stand, and whose ordinals they are."""

    identity: Identity
    members: BitMap


class BuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a build went: the size that stands now, and who entered and left."""

    key: str
    build: int
    version: int
    identity: Identity
    status: BuildStatus
    detail: str
    size: int
    entered: int
    left: int
    at_ms: int
    seconds: float


class Builder:
    """The members of all audiences, and how they come about.

    `criteria` gives the criteria of the moment; `twins` finds the members of a lookalike.
    """

    def __init__(
        self,
        *,
        audiences: AudienceStore,
        bitmaps: BitmapStore,
        criteria: Callable[[], Criteria],
        twins: Callable[[Audience, int], BitMap],
    ) -> None:
        self._audiences = audiences
        self._bitmaps = bitmaps
        self._criteria = criteria
        self._twins = twins
        self._standing: dict[str, Standing] = {}
        self._reports: dict[str, BuildReport] = {}
        self._written_ms: dict[str, int] = {}
        self._unwritten: set[str] = set()

    def open(self) -> None:
        """Take over the members that stand in the bitmap store."""
        known = self._audiences.audiences()
        for key, (build, members) in self._bitmaps.newest().items():
            if key in known:
                self._standing[key] = Standing(identity=build.identity, members=members)
                self._reports[key] = _report(build, size=len(members))

    def build(self, key: str, as_of_ms: int) -> BuildReport:
        """Build one audience from its newest definition."""
        return self._build(self._audiences.get(key), as_of_ms)

    def build_all(self, as_of_ms: int, *, write_every_ms: int = 0) -> list[BuildReport]:
        """Build every audience, each after those that it needs; drop what is defined no more.

        Members that change from tick to tick are written no more often than that; what is in memory
        is always what was built last, and a start builds anew.
        """
        saved = self._audiences.audiences()
        for key in self._reports.keys() - saved.keys():
            self.forget(key)
        order = build_order({key: each.audience for key, each in saved.items()})
        return [self._build(saved[key], as_of_ms, write_every_ms) for key in order]

    def members(self, key: str) -> BitMap:
        """Give the members that stand; they are shared and must not be changed."""
        standing = self._standing.get(key)
        if standing is None:
            raise NotBuiltError(f"The audience {key!r} has no members yet; build it first")
        return standing.members

    def members_by_key(self, identity: Identity) -> Mapping[str, BitMap]:
        """Give the members of all audiences of one identity."""
        standing = self._standing.copy()
        return {key: each.members for key, each in standing.items() if each.identity is identity}

    def report(self, key: str) -> BuildReport | None:
        """Give the report of the last build since the start, or of the one that was taken over."""
        return self._reports.get(key)

    def forget(self, key: str) -> None:
        """Drop the members of an audience that is no more."""
        self._standing.pop(key, None)
        self._reports.pop(key, None)
        self._unwritten.discard(key)
        self._written_ms.pop(key, None)

    def erase(self, persons: BitMap) -> None:
        """Take people out of all members at once, before the next build does."""
        self._standing = {
            key: Standing(identity=each.identity, members=each.members - persons)
            for key, each in self._standing.items()
        }

    def _build(self, saved: SavedAudience, as_of_ms: int, write_every_ms: int = 0) -> BuildReport:
        started, audience = time.perf_counter(), saved.audience
        last = self._reports.get(audience.key)
        build = Build(
            audience=audience.key,
            build=max(as_of_ms, last.build + 1 if last is not None else 0),
            version=saved.version,
            identity=audience.identity,
            at_ms=as_of_ms,
            status=BuildStatus.OK,
            detail="",
            size=0,
        )
        try:
            members = self._evaluate(audience, as_of_ms)
        except Exception as error:  # noqa: BLE001 - whatever failed, the old members stand and the report says why
            return self._failed(build, error, seconds=time.perf_counter() - started)
        seconds = time.perf_counter() - started
        return self._succeeded(build, members, seconds=seconds, write_every_ms=write_every_ms)

    def _evaluate(self, audience: Audience, as_of_ms: int) -> BitMap:
        if audience.rule is None:
            return self._twins(audience, as_of_ms)
        return self._criteria().members(audience.rule, audience.identity, as_of_ms)

    def _failed(self, build: Build, error: Exception, *, seconds: float) -> BuildReport:
        key, old = build.audience, self._reports.get(build.audience)
        detail = f"{type(error).__name__}: {error}"[:DETAIL_CHARACTERS_MAX]
        failed = msgspec.structs.replace(build, status=BuildStatus.FAILED, detail=detail)
        if old is None or (old.status, old.detail) != (failed.status, failed.detail):
            self._bitmaps.write(failed, BitMap())
        standing = self._standing.get(key)
        size = 0 if standing is None else len(standing.members)
        self._reports[key] = _report(failed, size=size, seconds=seconds)
        return self._reports[key]

    def _succeeded(
        self, build: Build, members: BitMap, *, seconds: float, write_every_ms: int
    ) -> BuildReport:
        key, old, before = build.audience, self._reports.get(build.audience), BitMap()
        if (standing := self._standing.get(key)) is not None:
            before = standing.members
        common = members.intersection_cardinality(before)
        entered, left = len(members) - common, len(before) - common
        build = msgspec.structs.replace(build, size=len(members))
        is_known = old is not None and (old.status, old.version) == (BuildStatus.OK, build.version)
        # Why only changes: a build every few seconds would else write the same bitmap for ever.
        if not is_known or entered or left:
            self._unwritten.add(key)
        is_due = build.at_ms >= self._written_ms.get(key, 0) + write_every_ms
        if key in self._unwritten and (is_due or not is_known):
            self._bitmaps.write(build, members)
            self._unwritten.discard(key)
            self._written_ms[key] = build.at_ms
        self._standing[key] = Standing(identity=build.identity, members=members)
        self._reports[key] = _report(
            build, size=len(members), seconds=seconds, entered=entered, left=left
        )
        return self._reports[key]


def _report(
    build: Build, *, size: int, seconds: float = 0.0, entered: int = 0, left: int = 0
) -> BuildReport:
    return BuildReport(
        key=build.audience,
        build=build.build,
        version=build.version,
        identity=build.identity,
        status=build.status,
        detail=build.detail,
        size=size,
        entered=entered,
        left=left,
        at_ms=build.at_ms,
        seconds=seconds,
    )
