"""Twins: who is found, how the report judges it, and what cannot be asked."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from pyroaring import BitMap

from audiences.lookalike import (
    ContradictorySize,
    Lookalike,
    LookalikeError,
    LookalikeRequest,
    NoUsableTraits,
    SeedTooSmall,
    SeedUnusable,
    find_twins,
)
from audiences.lookalike_weights import LookalikeMethod
from audiences.lookalikes.report import (
    Baseline,
    LookalikeReport,
    Verdict,
    WarningCode,
    warn,
    with_seats,
    without_small_groups,
)
from matching.bitmaps import bitmap_of
from matching.ids import VISITOR_FIRST

RANKING_METHODS = [method for method in LookalikeMethod if method is not LookalikeMethod.AUTO]


class World(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Customers and visitors; a tenth are cyclists, of whom the seed is a part."""

    base: BitMap
    cyclists: BitMap
    seed: BitMap
    traits: dict[str, BitMap]


def make_world(*, people: int = 3000, seed_share: float = 0.5, planted: float = 0.3) -> World:
    rng = np.random.default_rng(11)
    half = people // 2
    ordinals = np.concatenate([np.arange(1, half + 1), VISITOR_FIRST + np.arange(half)])
    ordinals = ordinals.astype(np.uint32)
    cyclist = rng.random(people) < 0.1
    activity = rng.gamma(2, 0.5, people)
    traits = {}
    for i in range(60):
        chance = np.clip(activity * rng.uniform(0.02, 0.3), 0, 0.6)
        if i < 12:
            chance = chance + planted * cyclist
        traits[f"product:{i:02}"] = bitmap_of(ordinals[rng.random(people) < chance])
    traits["site:demo"] = bitmap_of(ordinals)
    traits["product:rare"] = bitmap_of(ordinals[:49])
    return World(
        base=bitmap_of(ordinals),
        cyclists=bitmap_of(ordinals[cyclist]),
        seed=bitmap_of(ordinals[cyclist & (rng.random(people) < seed_share)]),
        traits=traits,
    )


WORLD = make_world()


def find(
    *,
    method: LookalikeMethod = LookalikeMethod.AUTO,
    size: int | None = 150,
    percent: float | None = None,
    likeness: float | None = None,
    allow_small: bool = False,
    traits: Mapping[str, BitMap] = WORLD.traits,
    seed: BitMap = WORLD.seed,
    base: BitMap = WORLD.base,
    excluded: BitMap | None = None,
    rng_seed: int = 1,
) -> Lookalike:
    request = LookalikeRequest(
        seed="cyclists",
        method=method,
        size=size,
        percent=percent,
        likeness=likeness,
        allow_small=allow_small,
    )
    return find_twins(
        request,
        traits=traits,
        seed=seed,
        base=base,
        excluded=excluded or BitMap(),
        rng_seed=rng_seed,
    )


@pytest.mark.parametrize("method", RANKING_METHODS)
def test_planted_likeness_is_found(method: LookalikeMethod) -> None:
    """Every method sees a planted signal, and its twins are mostly of the kind planted."""
    found = find(method=method)
    own = found.report.hold_out[0]
    assert own.method == method == found.report.method
    assert own.auc.mean > 0.8
    assert found.report.verdict is Verdict.DISTINCTIVE
    chance = 150 * len(WORLD.cyclists - WORLD.seed) / len(WORLD.base - WORLD.seed)
    assert len(found.members & WORLD.cyclists) > 4 * chance


def test_auto_takes_what_the_hold_out_says() -> None:
    """`auto` reports all methods; the one used stands first and is no worse than the blend."""
    report = find().report
    by_method = {each.method: each.auc.mean for each in report.hold_out}
    assert set(by_method) == {*RANKING_METHODS, *Baseline}
    assert by_method[report.method] >= by_method["blend"]
    assert report.hold_out[0].method == report.method


def test_baselines_stand_beside_every_method() -> None:
    """A method asked for is shown beside random, activity and MinHash."""
    report = find(method=LookalikeMethod.IV).report
    assert [each.method for each in report.hold_out] == ["iv", "minhash", "random", "activity_only"]
    random = report.hold_out[2]
    assert random.auc.mean == pytest.approx(0.5, abs=0.1)
    assert all(each.auc.spread > 0 for each in report.hold_out)


def test_a_random_seed_is_not_distinctive() -> None:
    """A seed drawn by lot is told to be no better than choosing heavy visitors."""
    ordinals = np.array(WORLD.base.to_array(), dtype=np.uint32)
    seed = bitmap_of(np.random.default_rng(2).choice(ordinals, 200, replace=False))
    report = find(seed=seed).report
    assert report.verdict is Verdict.NOT_DISTINCTIVE
    assert "no better than choosing heavy visitors" in report.verdict_text


def test_a_seed_of_heavy_visitors_is_not_distinctive() -> None:
    """A seed that is busier and nothing else has a good AUC, and activity alone has it too."""
    held = np.zeros(WORLD.base.max() + 1, dtype=np.uint8)
    for trait in WORLD.traits.values():
        held[np.array(trait.to_array())] += 1
    ordinals = np.array(WORLD.base.to_array(), dtype=np.uint32)
    busiest = ordinals[np.argsort(-held[ordinals], kind="stable")[:400]]
    report = find(seed=bitmap_of(busiest[::2])).report
    assert report.hold_out[0].auc.mean > 0.8
    assert report.verdict is Verdict.NOT_DISTINCTIVE
    assert "in little else" in report.verdict_text


def test_the_same_call_gives_the_same_twins() -> None:
    """Members and report depend on the input and `rng_seed` alone, not on the order of traits."""
    backwards = dict(reversed(WORLD.traits.items()))
    first, second = find(rng_seed=5), find(rng_seed=5, traits=backwards)
    assert first.members == second.members
    assert msgspec.json.encode(first.report) == msgspec.json.encode(second.report)


def test_ties_are_drawn_by_lot() -> None:
    """Among people of one score the seed of chance decides, not who arrived first."""
    one = {"a": WORLD.base, "b": WORLD.seed | BitMap(range(1, 200))}
    first, second = (find(method=LookalikeMethod.IV, traits=one, rng_seed=r) for r in (1, 2))
    assert first.members != second.members
    assert len(first.members) == len(second.members) == 150


def test_twins_are_never_seed_nor_excluded_nor_strangers() -> None:
    """Members come from the base, without the seed and the excluded."""
    strangers = BitMap(range(900_000, 900_500))
    traits = {name: people | strangers for name, people in WORLD.traits.items()}
    excluded = BitMap(list(WORLD.cyclists - WORLD.seed)[:60])
    found = find(traits=traits, seed=WORLD.seed | strangers, excluded=excluded)
    assert found.members <= WORLD.base
    assert found.members.isdisjoint(WORLD.seed)
    assert found.members.isdisjoint(excluded)
    assert found.report.seed == len(WORLD.seed)
    assert found.report.candidates == len(WORLD.base - WORLD.seed - excluded)


SIZES = [
    pytest.param(77, None, 77, id="size"),
    pytest.param(None, 2.0, 60, id="percent of the base"),
    pytest.param(None, None, 150, id="neither: five percent"),
    pytest.param(100_000, None, len(WORLD.base - WORLD.seed), id="more than there are"),
]


@pytest.mark.parametrize(("size", "percent", "expected"), SIZES)
def test_size_is_kept(size: int | None, percent: float | None, expected: int) -> None:
    """So many people come back as were asked for, if there are so many."""
    found = find(method=LookalikeMethod.IV, size=size, percent=percent)
    assert len(found.members) == found.report.size == expected
    codes = {warning.code for warning in found.report.warnings}
    assert (WarningCode.FEWER_THAN_ASKED in codes) == (size == 100_000)


REFUSED = [
    pytest.param(ContradictorySize, {"size": 5, "percent": 1.0}, id="size and percent"),
    pytest.param(ContradictorySize, {"size": 5, "likeness": 0.5}, id="size and likeness"),
    pytest.param(ContradictorySize, {"size": None, "likeness": 1.0}, id="more alike than all"),
    pytest.param(ContradictorySize, {"size": None, "likeness": 0.0}, id="any likeness"),
    pytest.param(ContradictorySize, {"size": 0}, id="nobody"),
    pytest.param(ContradictorySize, {"size": None, "percent": 101.0}, id="more than all"),
    pytest.param(ContradictorySize, {"size": None, "percent": 0.0}, id="no percent"),
    pytest.param(SeedUnusable, {"seed": BitMap()}, id="empty seed"),
    pytest.param(SeedUnusable, {"seed": BitMap([4_000_000])}, id="seed outside the base"),
    pytest.param(SeedUnusable, {"seed": WORLD.base}, id="seed is the base"),
    pytest.param(SeedUnusable, {"excluded": WORLD.base}, id="all excluded"),
    pytest.param(SeedTooSmall, {"seed": BitMap(range(1, 100))}, id="99 people"),
    pytest.param(
        SeedTooSmall, {"seed": BitMap(range(1, 20)), "allow_small": True}, id="19, small allowed"
    ),
    pytest.param(
        SeedTooSmall,
        {"seed": BitMap(range(1, 50)), "allow_small": True, "method": LookalikeMethod.LR},
        id="regression on 49",
    ),
    pytest.param(NoUsableTraits, {"traits": {}}, id="no traits"),
    pytest.param(NoUsableTraits, {"traits": {"a": BitMap(range(1, 50))}}, id="rare traits alone"),
]


@pytest.mark.parametrize(("error", "arguments"), REFUSED)
def test_what_cannot_be_is_refused(error: type[LookalikeError], arguments: dict[str, Any]) -> None:
    """Each request that makes no sense ends in its own error, which names the seed."""
    with pytest.raises(error, match="cyclists"):
        find(**arguments)


@pytest.mark.parametrize("people", [20, 49])
def test_small_seeds_use_no_regression(people: int) -> None:
    """From 20 people on, if allowed, log-odds and IV+ are tried, and half is hidden at most."""
    report = find(seed=BitMap(list(WORLD.seed)[:people]), allow_small=True).report
    assert {each.method for each in report.hold_out} == {
        "blend",
        "logodds",
        "iv",
        "minhash",
        *Baseline,
    }
    assert WarningCode.SMALL_SEED in {warning.code for warning in report.warnings}


def test_traits_that_define_the_seed_are_left_out() -> None:
    """The rule's own trait and its family neither flatter the hold-out nor steer the ranking."""
    segments = {
        "segment=champion": WORLD.seed,
        "segment=loyal": WORLD.base - WORLD.seed,
    }
    plain = find(method=LookalikeMethod.BLEND)
    told = find(method=LookalikeMethod.BLEND, traits=WORLD.traits | segments)
    assert told.report.traits_left_out == ("segment=champion", "segment=loyal")
    assert WarningCode.TRAITS_LEFT_OUT in {warning.code for warning in told.report.warnings}
    assert told.members == plain.members
    assert told.report.hold_out == plain.report.hold_out


def test_traits_that_a_rule_is_made_of_are_left_out() -> None:
    """What the caller knows to define the seed is neither used nor shown, and told as left out."""
    known = find()
    best = known.report.traits[0].trait
    request = LookalikeRequest(seed="cyclists", size=150)
    found = find_twins(
        request,
        traits=WORLD.traits,
        seed=WORLD.seed,
        base=WORLD.base,
        excluded=BitMap(),
        rng_seed=1,
        defining=[best, "unheard of"],
    )
    assert found.report.traits_left_out == (best,)
    assert best not in {each.trait for each in found.report.traits}
    assert best not in found.reasons.names
    assert found.report.traits_used == known.report.traits_used - 1


def test_reasons_are_rounded_and_hide_the_few() -> None:
    """Shown traits have at least 10 seed people and 50 people, in tens, the heaviest first."""
    report = find(method=LookalikeMethod.BLEND).report
    assert report.traits_rare == 1
    assert all(each.information >= 0 for each in report.traits)
    assert 0 < len(report.traits) <= 20
    assert all(each.in_seed % 10 == each.in_all % 10 == 0 for each in report.traits)
    assert all(each.in_seed >= 10 and each.in_all >= 50 for each in report.traits)
    weights = [each.weight for each in report.traits]
    assert weights == sorted(weights, reverse=True)
    best = report.traits[0]
    assert best.lift > 1
    assert best.trait in {f"product:{i:02}" for i in range(12)}


def test_curve_falls_and_finds_more() -> None:
    """Taking more people lowers the least likeness and finds more of the hidden."""
    found = find()
    curve = found.report.curve
    assert [point.percent for point in curve] == list(range(1, 11))
    least, recalls = ([getattr(p, name) for p in curve] for name in ("likeness", "recall"))
    assert least == sorted(least, reverse=True)
    assert recalls == sorted(recalls)
    assert [point.people for point in curve] == [len(step) for step in found.ladder]
    assert curve[-1].people == round(len(WORLD.base) / 10)
    assert all(a < b for a, b in pairwise(found.ladder))


@pytest.mark.parametrize("method", RANKING_METHODS)
def test_a_size_is_a_point_of_the_curve(method: LookalikeMethod) -> None:
    """Five percent, its number of people and its least likeness are three names of one audience."""
    percent = find(method=method, size=None, percent=5.0)
    point = percent.report.curve[4]
    assert (percent.report.size, percent.report.likeness) == (point.people, point.likeness)
    alike = find(method=method, size=None, likeness=point.likeness)
    assert point.people <= len(alike.members) <= percent.report.curve[6].people
    best = find(method=method, size=None, likeness=min(point.likeness + 0.1, 0.99))
    assert best.members < find(method=method, size=None, likeness=point.likeness - 0.01).members


def test_likeness_says_how_typical_of_the_seed_people_are() -> None:
    """Of those of likeness 0.5 and more, far more are of the kind planted than of the others."""
    found = find(size=None, likeness=0.5)
    share = len(found.members & WORLD.cyclists) / len(found.members)
    assert share > 3 * len(WORLD.cyclists - WORLD.seed) / len(WORLD.base - WORLD.seed)
    assert all(0 < point.likeness < 1 for point in found.report.curve)


def test_nobody_so_alike_is_nobody() -> None:
    """A likeness that nobody has finds nobody, and the report says so."""
    found = find(method=LookalikeMethod.IV, size=None, likeness=1 - 1e-12)
    assert not found.members
    assert found.report.size == 0
    assert found.report.examples == ()


@pytest.mark.parametrize("method", RANKING_METHODS)
def test_three_reasons_for_each_person(method: LookalikeMethod) -> None:
    """Each twin is explained by traits that it holds and that are shown, three at most."""
    found = find(method=method)
    assert len(found.report.examples) == 5
    assert all(1 <= len(each.reasons) <= 3 for each in found.report.examples)
    alike = [each.likeness for each in found.report.examples]
    assert alike == sorted(alike, reverse=True)
    for person in list(found.members)[:20]:
        assert all(person in WORLD.traits[trait] for trait in found.reasons.of(person))
        assert found.reasons.only(found.members).of(person) == found.reasons.of(person)
    assert not found.reasons.only(BitMap()).of(next(iter(found.members)))
    few = find(traits=WORLD.traits | {"few": BitMap(list(WORLD.seed)[:9]) | BitMap(range(1, 60))})
    assert "few" not in few.reasons.names


def test_a_quick_look_uses_few_traits() -> None:
    """Asked to be quick, the 200 traits that tell most are used, and find nearly the same."""
    noise = {f"noise:{i:03}": BitMap(range(i + 1, 1500, 7)) for i in range(300)}
    request = LookalikeRequest(seed="cyclists", size=150, quick=True)
    quick = find_twins(
        request,
        traits=WORLD.traits | noise,
        seed=WORLD.seed,
        base=WORLD.base,
        excluded=BitMap(),
        rng_seed=1,
    )
    assert quick.report.traits_used == 200
    assert quick.report.hold_out[0].auc.mean > 0.8


def test_report_survives_json() -> None:
    """The report is kept as JSON and read back the same."""
    report = find(method=LookalikeMethod.IV).report
    assert msgspec.json.decode(msgspec.json.encode(report), type=LookalikeReport) == report


def test_request_is_read_from_json() -> None:
    """A definition names its method in words; what it leaves out has a default."""
    request = msgspec.json.decode(
        b'{"seed":"champions","method":"minhash","percent":2.5,"exclude":["complainers"]}',
        type=LookalikeRequest,
    )
    assert request == LookalikeRequest(
        seed="champions", method=LookalikeMethod.MINHASH, percent=2.5, exclude=("complainers",)
    )
    assert LookalikeRequest(seed="champions").method is LookalikeMethod.AUTO


def test_a_report_for_those_who_may_not_see_people_counts_none_exactly() -> None:
    """Counts are rounded, small ones hidden, traits of few in the seed left out."""
    report = find(method=LookalikeMethod.LOGODDS).report
    few = msgspec.structs.replace(report.traits[0], in_seed=10)
    warnings = warn(seed=137, left_out=[], size=7, asked=9)
    exact = msgspec.structs.replace(
        report, seed=137, size=7, candidates=1234, traits=(few, *report.traits), warnings=warnings
    )
    hidden = without_small_groups(exact)
    assert (hidden.seed, hidden.size, hidden.candidates) == (140, None, 1230)
    assert len(hidden.traits) == len([each for each in report.traits if each.in_seed >= 20])
    assert all(point.people is None or point.people % 10 == 0 for point in hidden.curve)
    assert not any("137" in each.text or "7 are" in each.text for each in hidden.warnings)
    assert hidden.examples == ()
    assert all(round(each.auc.mean, 2) == each.auc.mean for each in hidden.hold_out)


def test_seats_stand_at_each_point_of_the_curve() -> None:
    """Reach per seat joins the curve; small ones are hidden with the other counts."""
    report = with_seats(find().report, [{"dsp": 10 * each + 3} for each in range(10)])
    assert [point.seats for point in report.curve][:2] == [{"dsp": 3}, {"dsp": 13}]
    hidden = without_small_groups(report)
    assert [point.seats["dsp"] for point in hidden.curve] == [None, None, 20, *range(30, 100, 10)]
