"""Which rule decides, and that what is not known of a key weakens nothing.

In scope: `monitor.key_patterns`, `monitor.tiers`, `monitor.response_rules`, and `monitor.policy` as far
as it uses them. All are pure.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError

from monitor.approval import NeverApprove
from monitor.decision import Decision, Reason, Verdict
from monitor.detector import NoOptions
from monitor.detectors.key_disabled import KeyDisabled
from monitor.finding import Actor, Aspect, Finding, Kind, Severity
from monitor.key import KeyState
from monitor.key_patterns import by_all_tags, by_any_tag, by_name, either, every
from monitor.knowledge import Knowledge
from monitor.policy import Mode, Rules, decide
from monitor.response_rules import Course, ResponseRule, course
from monitor.suppression import Suppression
from monitor.tiers import Tier, never_approved
from tests.samples import (
    ACCOUNT,
    ARN,
    BOB,
    KEY,
    KEY_ID,
    OTHER_ACCOUNT,
    REGION,
    event,
    finding,
    snapshot,
)

REPAIRERS, TELLERS = ("restore_key", "contain"), ("sns", "mqtt")
TIER_0 = Tier(name="tier-0", keys=["alias/root-*"], tags={"tier": ["0", "zero"]})
TIERS = {"tier-0": TIER_0}
KNOWN = finding(
    tags={"tier": "0", "team": "payments"},
    aliases=("alias/root-ca",),
    tags_known=True,
    aliases_known=True,
)
PLAIN = replace(KNOWN, tags={}, aliases=())
UNKNOWN = finding()
RESOURCE = finding(key=None, resource="arn:aws:sqs:eu-west-1:111122223333:q", kind=Kind.NOTICE)
NAMELESS = finding(key=None)
RULES = Rules(
    mode=Mode.ENFORCE,
    places=frozenset({(ACCOUNT, REGION)}),
    repairers=("restore_key",),
    tellers=TELLERS,
    aspects_of={"restore_key": frozenset({Aspect.STATE})},
    tiers=TIERS,
)


def rule(**given: Any) -> ResponseRule:
    return ResponseRule.model_validate({"name": "r"} | given)


def rules(*given: dict[str, Any], **changes: Any) -> Rules:
    made = tuple(rule(**{"name": f"r{number}"} | one) for number, one in enumerate(given))
    return replace(RULES, response=made, **changes)


# -- how keys are named


@pytest.mark.parametrize(
    ("patterns", "aliases", "answer"),
    [
        ([], ("alias/a",), False),
        ([], None, False),
        ([KEY_ID], None, True),
        ([ARN[:20] + "*"], None, True),
        (["alias/a"], ("alias/a",), True),
        (["alias/a"], (), False),
        (["alias/a"], None, None),
        (["*a"], None, None),
        (["arn:*:key/x"], None, False),
    ],
)
def test_a_key_by_its_names(
    patterns: list[str], aliases: tuple[str, ...] | None, answer: bool | None
) -> None:
    assert by_name(patterns, KEY, aliases) is answer


@pytest.mark.parametrize(
    ("patterns", "tags", "any_one", "all_of_them"),
    [
        ({}, {"a": "1"}, False, True),
        ({}, None, False, True),
        ({"a": "1"}, None, None, None),
        ({"a": "1"}, {"a": "1"}, True, True),
        ({"a": ["2", "1*"]}, {"a": "12"}, True, True),
        ({"a": "1", "b": "2"}, {"a": "1"}, True, False),
        ({"a": "1"}, {"A": "1"}, False, False),
        ({"a": "1"}, {}, False, False),
    ],
)
def test_a_key_by_its_tags(
    patterns: Any, tags: dict[str, str] | None, any_one: bool | None, all_of_them: bool | None
) -> None:
    assert (by_any_tag(patterns, tags), by_all_tags(patterns, tags)) == (any_one, all_of_them)


answers = st.lists(st.sampled_from([True, False, None]), max_size=4)


@given(answers)
def test_what_cannot_be_told_stays_so_unless_the_rest_decides(found: list[bool | None]) -> None:
    """Each answer that is None may turn out as either; only if all agree it is no None."""
    worlds = [[]]  # type: list[list[bool]]
    for one in found:
        worlds = [[*w, v] for w in worlds for v in ([one] if one is not None else [True, False])]
    for said, ends in (
        (either(found), {any(w) for w in worlds}),
        (every(found), {all(w) for w in worlds}),
    ):
        assert said is (None if len(ends) == 2 else ends.pop())


# -- one rule


@pytest.mark.parametrize(
    ("criteria", "known", "unknown", "resource", "nameless"),
    [
        ({}, True, True, True, True),
        ({"detectors": ["key_*"]}, True, True, True, True),
        ({"detectors": ["rule_*"]}, False, False, False, False),
        ({"tiers": ["tier-0"]}, True, None, False, None),
        ({"keys": [KEY_ID]}, True, True, False, None),
        ({"keys": ["alias/root-*"]}, True, None, False, None),
        ({"tags": {"team": "pay*"}}, True, None, False, None),
        ({"tags": {"team": "pay*", "x": "*"}}, False, None, False, None),
        ({"tags": {"team": "pay*"}, "keys": [KEY_ID]}, True, None, False, None),
        ({"tags": {"team": "pay*"}, "accounts": [OTHER_ACCOUNT]}, False, False, False, False),
        ({"accounts": [ACCOUNT]}, True, True, True, True),
        ({"regions": ["eu-*"]}, True, True, True, True),
        ({"regions": ["us-*"]}, False, False, False, False),
        ({"min_severity": "high"}, True, True, True, True),
        ({"min_severity": "critical"}, False, False, False, False),
    ],
)
def test_what_a_rule_matches(
    criteria: dict[str, Any],
    known: bool | None,
    unknown: bool | None,
    resource: bool | None,
    nameless: bool | None,
) -> None:
    made = rule(**criteria)
    found = [made.matches(one, TIERS) for one in (KNOWN, UNKNOWN, RESOURCE, NAMELESS)]
    assert found == [known, unknown, resource, nameless]


def test_the_keys_own_account_and_region_count_not_those_of_the_record() -> None:
    elsewhere = replace(KNOWN, account=OTHER_ACCOUNT, region="us-east-1")
    assert rule(accounts=[ACCOUNT], regions=[REGION]).matches(elsewhere, TIERS) is True


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a b"},
        {"mode": "off"},
        {"responders": []},
        {"responders": ["sns", "sns"]},
        {"time_limit_seconds": {"sns": 0}},
        {"time_limit_seconds": {"sns": 151}},
        {"min_severity": "worse"},
        {"tags": {"a": []}},
        {"accounts": [111122223333]},
        {"nonsense": 1},
    ],
)
def test_what_no_rule_can_say(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(**wrong)


# -- which of them decides


def judged(found: Finding, given: Rules) -> tuple[Reason, tuple[str, ...], bool, str]:
    made = decide(found, given)
    return made.reason, made.responders, made.dry_run, made.rule


def test_the_first_that_matches_decides_and_says_so() -> None:
    given = rules(
        {"accounts": [OTHER_ACCOUNT], "mode": "enforce"},
        {"tiers": ["tier-0"], "responders": ["restore_key", "mqtt"]},
        {"mode": "observe", "responders": ["sns"]},
    )
    assert judged(KNOWN, given) == (Reason.ENFORCE, ("restore_key", "mqtt"), False, "r1")
    assert judged(PLAIN, given)[1:] == (("sns",), False, "r2")


def test_a_rule_stands_above_the_mode_of_a_detector_and_that_above_the_whole() -> None:
    staged = replace(RULES, modes={"key_disabled": Mode.OBSERVE})
    everybody = ("restore_key", *TELLERS)
    assert judged(KNOWN, staged) == (Reason.OBSERVE, everybody, True, "")
    bold = replace(staged, response=(rule(mode="enforce"),))
    assert judged(KNOWN, bold) == (Reason.ENFORCE, everybody, False, "r")
    silent = replace(staged, response=(rule(),))
    assert judged(KNOWN, silent) == (Reason.OBSERVE, everybody, True, "r")


def test_responders_act_in_the_order_of_the_rule_repairers_first() -> None:
    given = rules(
        {"responders": ["contain", "restore_key", "mqtt", "sns"]},
        repairers=REPAIRERS,
        aspects_of={},
    )
    assert decide(KNOWN, given).responders == ("contain", "restore_key", "mqtt", "sns")


def test_where_no_repairer_is_named_it_is_told_that_nobody_repairs() -> None:
    made = decide(KNOWN, rules({"responders": ["sns"]}))
    assert (made.verdict, made.reason, made.responders) == (
        Verdict.TELL,
        Reason.NO_REPAIRER,
        ("sns",),
    )
    able = {"restore_key": frozenset({Aspect.STATE}), "contain": frozenset({Aspect.POLICY})}
    given = rules({"responders": ["contain", "sns"]}, repairers=REPAIRERS, aspects_of=able)
    assert decide(KNOWN, given).reason is Reason.NO_REPAIRER


def test_no_rule_takes_away_who_keeps_the_memory_of_what_is_right() -> None:
    """A change that is right moves the baseline, and is never undone where nobody is to write."""
    given = rules({"responders": ["sns"]}, approved_actors=(BOB.arn,))
    change = decide(replace(KNOWN, kind=Kind.CHANGE), given)
    assert (change.verdict, change.responders) == (Verdict.ACCEPT, ("restore_key",))
    assert change.dry_run
    approved = decide(KNOWN, given)
    assert (approved.verdict, approved.reason) == (Verdict.ACCEPT, Reason.APPROVED_ACTOR)
    assert approved.responders == ("restore_key", "sns")
    assert approved.dry_run


def test_a_suppression_takes_only_the_tellers_of_the_rule() -> None:
    silence = Suppression(reason="a drill", until="never", detectors=["key_*"])
    given = rules({"responders": ["restore_key", "sns"]}, suppressions=(silence,))
    assert decide(KNOWN, given).responders == ("restore_key",)


def test_what_is_only_told_goes_to_whom_the_rule_says() -> None:
    given = rules({"min_severity": "critical"}, {"responders": ["restore_key", "mqtt"]})
    for kind in (Kind.ATTEMPT, Kind.NOTICE, Kind.RECOVERY, Kind.EVIDENCE):
        assert decide(replace(KNOWN, kind=kind), given).responders == ("mqtt",)
    assert decide(RESOURCE, given).responders == ("mqtt",)


@pytest.mark.parametrize(
    ("given", "heard"),
    [
        ((), None),
        (({"tiers": ["tier-0"], "responders": ["restore_key", "sns"]},), ("sns",)),
        # by severity and detector the damage may have gone elsewhere than its end does
        (({"min_severity": "high", "responders": ["sns"]}, {"responders": ["mqtt"]}), TELLERS),
        (({"detectors": ["x*"], "responders": ["sns"]}, {"responders": ["mqtt"]}), TELLERS),
        (({"accounts": [OTHER_ACCOUNT]}, {"responders": ["mqtt"]}), ("mqtt",)),
        (({"tags": {"team": "x"}, "responders": ["mqtt"]},), TELLERS),
        (({"responders": ["restore_key"]},), ()),
    ],
)
def test_who_may_have_heard_of_the_damage_hears_of_its_end(
    given: tuple[dict[str, Any], ...], heard: tuple[str, ...] | None
) -> None:
    end = replace(KNOWN, kind=Kind.CHANGE, severity=Severity.INFO)
    assert decide(end, rules(*given)).listeners == heard


# -- what is not known


def test_a_key_that_is_not_known_is_treated_as_the_strictest_that_it_may_be() -> None:
    given = rules(
        {"tags": {"stage": "lab"}, "mode": "observe", "responders": ["restore_key", "mqtt"]},
        {"responders": ["restore_key", "sns"], "time_limit_seconds": {"sns": 5}},
    )
    made = decide(UNKNOWN, given)
    assert (made.reason, made.dry_run) == (Reason.ENFORCE, False)
    assert made.responders == ("restore_key", "mqtt", "sns")
    assert (made.rule, made.rules, made.limits) == ("r0 or r1", ("r0", "r1"), {})
    limits: list[dict[str, Any]] = [
        {"time_limit_seconds": {"sns": 9}, "tags": {"a": "b"}},
        {"time_limit_seconds": {"sns": 5}},
    ]
    assert decide(UNKNOWN, rules(*limits)).limits == {"sns": 9}
    alone = decide(UNKNOWN, rules({"tags": {"stage": "lab"}, "mode": "observe"}))
    assert (alone.dry_run, alone.rule) == (False, "r0 or no rule")


names = st.sampled_from(["restore_key", "contain", "sns", "mqtt"])
some_rules = st.lists(
    st.builds(
        ResponseRule,
        name=st.sampled_from(["a", "b", "c"]),
        detectors=st.lists(st.sampled_from(["key_*", "x"]), max_size=1),
        tiers=st.lists(st.just("tier-0"), max_size=1),
        keys=st.lists(st.sampled_from(["alias/root-*", KEY_ID, "alias/y", "no"]), max_size=2),
        tags=st.dictionaries(st.sampled_from(["tier", "team"]), st.sampled_from(["0", "p*"])),
        accounts=st.lists(st.sampled_from([ACCOUNT, OTHER_ACCOUNT]), max_size=1),
        min_severity=st.sampled_from(["info", "high", "critical"]),
        mode=st.sampled_from(["observe", "enforce", None]),
        responders=st.none() | st.lists(names, min_size=1, unique=True),
        time_limit_seconds=st.dictionaries(names, st.floats(1, 150)),
    ),
    max_size=4,
)
some_tags = st.dictionaries(
    st.sampled_from(["tier", "team", "other"]), st.sampled_from(["0", "payments", "x"])
)
some_aliases = st.lists(st.sampled_from(["alias/root-ca", "alias/y"]), unique=True).map(tuple)


def set_by(found: Finding, given: list[ResponseRule], *, observe: bool) -> Course:
    return course(found, given, TIERS, observe=observe, repairers=REPAIRERS, tellers=TELLERS)


@given(some_rules, some_tags, some_aliases, st.tuples(st.booleans(), st.booleans()), st.booleans())
def test_what_is_not_known_never_weakens(
    given: list[ResponseRule],
    tags: dict[str, str],
    aliases: tuple[str, ...],
    known: tuple[bool, bool],
    observe: bool,
) -> None:
    """Whatever the key turns out to be: no less is written, nobody is left out, nothing is cut short."""
    tags_known, aliases_known = known
    whole = replace(UNKNOWN, tags=tags, aliases=aliases, tags_known=True, aliases_known=True)
    partly = replace(
        UNKNOWN,
        tags=tags if tags_known else {},
        aliases=aliases if aliases_known else (),
        tags_known=tags_known,
        aliases_known=aliases_known,
    )
    less, true = set_by(partly, given, observe=observe), set_by(whole, given, observe=observe)
    assert true.observe or not less.observe
    assert set(true.repairers) <= set(less.repairers)
    assert set(true.tellers) <= set(less.tellers)
    for name, seconds in less.limits.items():
        assert seconds >= true.limits[name]
    assert not true.rules or set(true.rules) <= set(less.rules)


@given(some_rules, some_rules, some_tags, st.booleans(), st.integers(0, 4))
def test_a_rule_that_does_not_match_changes_nothing(
    given: list[ResponseRule],
    more: list[ResponseRule],
    tags: dict[str, str],
    known: bool,
    place: int,
) -> None:
    found = replace(UNKNOWN, tags=tags if known else {}, tags_known=known, aliases_known=known)
    others = [one for one in more if one.matches(found, TIERS) is False]
    place = min(place, len(given))
    assert set_by(found, given, observe=False) == set_by(
        found, [*given[:place], *others, *given[place:]], observe=False
    )


# -- tiers


@pytest.mark.parametrize(
    ("found", "kind", "severity"),
    [
        (KNOWN, Kind.DAMAGE, Severity.CRITICAL),
        (PLAIN, Kind.DAMAGE, Severity.HIGH),
        # it may be one of them
        (UNKNOWN, Kind.DAMAGE, Severity.CRITICAL),
        (KNOWN, Kind.CHANGE, Severity.HIGH),
        (KNOWN, Kind.ATTEMPT, Severity.HIGH),
    ],
)
def test_damage_to_a_tier_counts_at_least_so(
    found: Finding, kind: Kind, severity: Severity
) -> None:
    graded = replace(
        rules({"min_severity": "critical", "name": "worst"}),
        tiers={"tier-0": TIER_0.model_copy(update={"severity": "critical"})},
    )
    made = decide(replace(found, kind=kind), graded)
    assert made.finding.severity is severity
    assert made.rule == ("worst" if severity is Severity.CRITICAL else "")
    assert made.tiers == (("tier-0",) if found is KNOWN else ())
    assert made.finding.finding_id == found.finding_id


def test_a_tier_lowers_nothing() -> None:
    graded = replace(RULES, tiers={"low": TIER_0.model_copy(update={"severity": "low"})})
    assert decide(KNOWN, graded).finding.severity is Severity.HIGH


def test_a_tier_names_keys() -> None:
    with pytest.raises(ValidationError, match="at least one of keys and tags"):
        Tier(name="empty")


@pytest.mark.parametrize(
    ("tier", "holds"),
    [
        ({"name": "tier-0"}, True),
        ({"name": "crown", "never_approve": True}, True),
        ({"name": "crown"}, False),
    ],
)
def test_changes_to_such_tiers_are_never_approved(tier: dict[str, Any], holds: bool) -> None:
    made = Tier(keys=["alias/root-*"], tags={"tier": "0"}, **tier)
    named = NeverApprove(keys=["alias/x"], tags={"tier": "crown"}, window_days=9)
    never = never_approved(named, [made])
    for aliases, tags in ((("alias/root-ca",), {}), ((), {"tier": "0"})):
        assert never.holds(KEY, aliases, tags) is holds
    for aliases, tags in ((("alias/x",), {}), ((), {"tier": "crown"})):
        assert never.holds(KEY, aliases, tags)
    assert not never.holds(KEY, (), {"tier": "1"})
    assert never.window_days == 9
    approved = replace(
        RULES, never_approve=never, approved_actors=(BOB.arn,), tiers={made.name: made}
    )
    assert (decide(KNOWN, approved).verdict is Verdict.REPAIR) is holds


def test_without_any_of_it_all_is_as_it_was() -> None:
    made = decide(KNOWN, replace(RULES, tiers={}))
    assert made == Decision(KNOWN, Verdict.REPAIR, Reason.ENFORCE, ("restore_key", *TELLERS))


def test_who_is_nobody_is_in_no_rule() -> None:
    assert decide(replace(KNOWN, actor=Actor()), rules({})).rule == "r0"


@pytest.mark.parametrize(
    ("snapshot_of", "tags", "aliases"),
    [
        (None, None, None),
        ({}, None, None),
        ({"tags": {}}, {}, None),
        ({"aliases": ("alias/a",)}, None, ("alias/a",)),
    ],
)
def test_a_finding_says_what_is_known_of_its_key(
    snapshot_of: dict[str, Any] | None,
    tags: dict[str, str] | None,
    aliases: tuple[str, ...] | None,
) -> None:
    keys = [] if snapshot_of is None else [snapshot(KeyState.ENABLED, **snapshot_of)]
    (found,) = KeyDisabled(NoOptions(), Knowledge(snapshots=keys)).inspect(event())
    assert (found.known_tags, found.known_aliases) == (tags, aliases)
