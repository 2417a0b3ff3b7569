"""Builds audiences: evaluates their definitions and holds the members that stand.

In go keys and a moment, out come reports; the members of all audiences are in memory and, when
they changed, in the bitmap store. A build that fails leaves the old members.
"""

import time
from collections.abc import Callable, Mapping

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
from audiences.definitions import UnknownAudienceError, build_order
from audiences.rule import Audience
from matching.people import Identity


class NotBuiltError(LookupError):
    """An audience has no members yet, because no build of it has succeeded."""


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
        self._members: dict[str, BitMap] = {}
        self._reports: dict[str, BuildReport] = {}

    def open(self) -> None:
        """Take over the members that stand in the bitmap store."""
        known = self._audiences.audiences()
        for key, (build, members) in self._bitmaps.newest().items():
            if key in known:
                self._members[key] = members
                self._reports[key] = _report(build, members, seconds=0.0)

    def build(self, key: str, as_of_ms: int) -> BuildReport:
        """Build one audience from its newest definition."""
        return self._build(self._audiences.get(key), as_of_ms)

    def build_all(self, as_of_ms: int) -> list[BuildReport]:
        """Build every audience, each after those that it needs; drop what is defined no more."""
        saved = self._audiences.audiences()
        for key in self._members.keys() - saved.keys():
            self.forget(key)
        order = build_order({key: each.audience for key, each in saved.items()})
        return [self._build(saved[key], as_of_ms) for key in order]

    def members(self, key: str) -> BitMap:
        """Give the members that stand; they are shared and must not be changed."""
        members = self._members.get(key)
        if members is None:
            raise NotBuiltError(f"The audience {key!r} has no members yet; build it first")
        return members

    def members_by_key(self, identity: Identity) -> Mapping[str, BitMap]:
        """Give the members of all audiences of one identity."""
        built = self._members.copy()
        return {key: built[key] for key in built if self._reports[key].identity is identity}

    def report(self, key: str) -> BuildReport | None:
        """Give the report of the last build since the start, or of the one that was taken over."""
        return self._reports.get(key)

    def forget(self, key: str) -> None:
        """Drop the members of an audience that is no more."""
        self._members.pop(key, None)
        self._reports.pop(key, None)

    def erase(self, persons: BitMap) -> None:
        """Take people out of all members at once, before the next build does."""
        self._members = {key: members - persons for key, members in self._members.items()}

    def _build(self, saved: SavedAudience, as_of_ms: int) -> BuildReport:
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
        return self._succeeded(build, members, seconds=time.perf_counter() - started)

    def _evaluate(self, audience: Audience, as_of_ms: int) -> BitMap:
        if audience.rule is None:
            return self._twins(audience, as_of_ms)
        return self._criteria().members(audience.rule, audience.identity, as_of_ms)

    def _failed(self, build: Build, error: Exception, *, seconds: float) -> BuildReport:
        key, old = build.audience, self._reports.get(build.audience)
        detail = f"{type(error).__name__}: {error}"[:1000]
        failed = msgspec.structs.replace(build, status=BuildStatus.FAILED, detail=detail)
        standing = self._members.get(key)
        report = _report(failed, BitMap() if standing is None else standing, seconds=seconds)
        if old is None or (old.status, old.detail) != (report.status, report.detail):
            self._bitmaps.write(failed, BitMap())
        self._reports[key] = report
        return report

    def _succeeded(self, build: Build, members: BitMap, *, seconds: float) -> BuildReport:
        key, old = build.audience, self._reports.get(build.audience)
        before = self._members.get(key)
        build = msgspec.structs.replace(build, size=len(members))
        # Why only changes: a build every few seconds would else write the same bitmap for ever.
        if before is None or old is None or _is_news(old, build) or before != members:
            self._bitmaps.write(build, members)
        report = _report(build, members, seconds=seconds, before=before)
        self._members[key] = members
        self._reports[key] = report
        return report


def _is_news(old: BuildReport, build: Build) -> bool:
    return (old.status, old.version) != (BuildStatus.OK, build.version)


def _report(
    build: Build, standing: BitMap, *, seconds: float, before: BitMap | None = None
) -> BuildReport:
    succeeded = build.status is BuildStatus.OK and before is not None
    return BuildReport(
        key=build.audience,
        build=build.build,
        version=build.version,
        identity=build.identity,
        status=build.status,
        detail=build.detail,
        size=len(standing),
        entered=standing.difference_cardinality(before) if succeeded and before else 0,
        left=before.difference_cardinality(standing) if succeeded and before else 0,
        at_ms=build.at_ms,
        seconds=seconds,
    )


__all__ = ["BuildReport", "Builder", "NotBuiltError", "UnknownAudienceError"]
