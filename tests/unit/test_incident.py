"""The course of an incident: what opens it, what ends it, and that the order of news does not matter.

In scope: `monitor.incident` and `monitor.repair.difference`, both pure. Nothing is replaced.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor import by_hand
from monitor.baseline import damaged, sighted
from monitor.decision import Action, Decision, Outcome, Reason, Stage, Verdict
from monitor.finding import Actor, Aspect, Kind, Severity
from monitor.incident import (
    LATE,
    MOST_FINDINGS,
    NOBODY,
    US,
    Incident,
    Seen,
    advance,
    looks,
    tells_of,
)
from monitor.incident_told import told
from monitor.key import Grant, KeyRef, KeySnapshot, KeyState
from monitor.repair.difference import compare
from tests.samples import BOB, EPOCH, KEY, decision, finding, snapshot

S, O = KeyState, Outcome  # noqa: E741
NOW = EPOCH + 10
STATE, POLICY = Aspect.STATE, Aspect.POLICY
WRONG, RIGHT = Seen(frozenset({STATE})), Seen(words="the key is Enabled")
CAROL = Actor(type="IAMUser", arn="arn:aws:iam::111122223333:user/carol")


def repaired(*ended: Outcome, calls: tuple[str, ...] = (), at: float = NOW, **finds: Any) -> Any:
    actions = tuple(Action("restore_key", one, "in words", calls, at) for one in ended)
    return decision(finding(**finds), done=actions)


def scheduled(*ended: Outcome, **finds: Any) -> Decision:
    about: dict[str, Any] = {
        "event_name": "ScheduleKeyDeletion",
        "event_id": "scheduled",
        "event_time": EPOCH + 1,
        "severity": Severity.CRITICAL,
        "caused": S.PENDING_DELETION,
    }
    made: Decision = repaired(*ended, **(about | finds))
    return made


def enabled(by: Actor = CAROL, at: float = EPOCH + 5, **changes: Any) -> Decision:
    found = finding(
        detector="key_enabled",
        event_name="EnableKey",
        event_id=f"enabled {at}",
        event_time=at,
        kind=Kind.CHANGE,
        severity=Severity.INFO,
        caused=S.ENABLED,
        actor=by,
    )
    accepted = {"verdict": Verdict.ACCEPT, "reason": Reason.ACCEPTED_CHANGE}
    return decision(found, **(accepted | changes))


def recovery(name: str, by: Actor = CAROL, at: float = EPOCH + 4, **finds: Any) -> Decision:
    about = {"event_name": name, "event_id": f"{name} {at}", "event_time": at, "actor": by}
    found = finding(**(about | {"kind": Kind.RECOVERY, "severity": Severity.INFO} | finds))
    return decision(found, verdict=Verdict.TELL, reason=Reason.RECOVERY)


def policy_changed(**finds: Any) -> Decision:
    about = {"event_name": "PutKeyPolicy", "event_id": "policy", "caused": None, "aspect": POLICY}
    return decision(
        finding(**(about | finds)), verdict=Verdict.TELL, reason=Reason.NO_REPAIRER, dry_run=False
    )


def go(known: Incident | None, made: Decision, seen: Seen | None = None) -> tuple[Any, Stage]:
    found = advance(known, made, seen, NOW)
    assert found is not None
    return found


def opened(*ended: Outcome, **finds: Any) -> Incident:
    incident, stage = go(None, repaired(*(ended or (O.WOULD,)), **finds))
    assert stage is Stage.OPENED
    return incident  # type: ignore[no-any-return]


@pytest.fixture
def closed() -> Incident:
    incident, stage = go(opened(), enabled(), RIGHT)
    assert stage is Stage.CLOSED
    return incident  # type: ignore[no-any-return]


# -- whether somebody told how a key is


@pytest.mark.parametrize(
    ("known", "state", "tells"),
    [
        (None, S.DISABLED, False),
        (opened(), S.DISABLED, True),
        (opened(), S.PENDING_DELETION, False),
        (go(opened(), scheduled(O.DENIED))[0], S.PENDING_DELETION, True),
        (go(opened(), scheduled(O.DENIED))[0], S.GONE, True),
        # The deletion was cancelled, and AWS refused to enable the key.
        (go(None, scheduled(O.DENIED))[0], S.DISABLED, True),
        (go(opened(), enabled(), RIGHT)[0], S.DISABLED, False),
        # Of the policy alone.
        (go(None, policy_changed())[0], S.DISABLED, False),
        # A finding that does not know to which state it led.
        (opened(caused=None), S.UNAVAILABLE, True),
    ],
)
def test_what_an_open_incident_tells_of_a_key(
    known: Incident | None, state: KeyState, tells: bool
) -> None:
    assert tells_of(known, state) is tells


# -- what opens one


@pytest.mark.parametrize("ended", [[O.WOULD], [O.RETRY], []])
def test_damage_that_is_not_put_back_opens_one(ended: list[Outcome]) -> None:
    incident, stage = go(None, repaired(*ended))
    assert stage is Stage.OPENED
    assert incident.open
    assert (incident.key, incident.opened_at, incident.severity) == (KEY, EPOCH, Severity.HIGH)
    assert (incident.count, incident.wrong, incident.caused) == (1, {STATE}, S.DISABLED)
    (noted,) = incident.findings
    assert (noted.event_name, noted.actor, noted.stage) == ("DisableKey", BOB.arn, Stage.OPENED)


def test_the_id_is_the_same_for_every_replica() -> None:
    assert opened().id == opened().id != opened(event_id="other").id
    assert len(opened().id) == 32


def test_no_event_is_of_the_future() -> None:
    assert opened(event_time=NOW + 9).opened_at == NOW


@pytest.mark.parametrize("ended", [O.DENIED, O.REFUSED, O.FAILED])
def test_a_repair_that_failed_says_so(ended: Outcome) -> None:
    incident, stage = go(None, repaired(ended))
    assert stage is Stage.REPAIR_FAILED
    assert incident.open
    assert incident.outcome == f"{ended.value}: in words"


def test_what_is_put_back_at_once_is_opened_and_closed() -> None:
    incident, stage = go(None, repaired(O.DONE, calls=("EnableKey",)))
    assert stage is Stage.CLOSED
    assert (incident.closed_at, incident.closed_by, incident.count) == (NOW, US, 1)
    assert incident.findings[0].stage is Stage.OPENED


def test_a_key_that_is_well_has_none() -> None:
    assert advance(None, repaired(O.ALREADY), None, NOW) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": Verdict.DROP, "reason": Reason.ACCOUNT_NOT_ALLOWED},
        {"verdict": Verdict.TELL, "reason": Reason.RECORD_DISAGREES},
        {"verdict": Verdict.TELL, "reason": Reason.APPROVED_ACTOR},
        {"verdict": Verdict.ACCEPT, "reason": Reason.APPROVED_ACTOR},
        {"done": (Action("restore_key", O.UNCONFIRMED),)},
    ],
)
def test_what_is_not_ours_or_approved_or_doubtful_opens_none(changes: Any) -> None:
    assert advance(None, decision(**changes), None, NOW) is None


@pytest.mark.parametrize("kind", [one for one in Kind if one is not Kind.DAMAGE])
def test_what_is_no_damage_opens_none(kind: Kind) -> None:
    made = decision(finding(kind=kind), verdict=Verdict.TELL, reason=Reason.NOTICE)
    assert advance(None, made, None, NOW) is None


def test_an_approval_that_nobody_confirms_and_that_was_undone_was_an_attack() -> None:
    undone = Action("restore_key", O.DONE, "", ("EnableKey",), NOW)
    made = decision(verdict=Verdict.ACCEPT, reason=Reason.APPROVED_ACTOR, done=(undone,))
    incident, stage = go(None, made)
    assert (stage, incident.closed_by) == (Stage.CLOSED, US)


def test_what_nobody_repairs_opens_one_too() -> None:
    incident, stage = go(None, policy_changed())
    assert (stage, incident.wrong) == (Stage.OPENED, {POLICY})
    assert (incident.damaged_at, incident.caused) == (0.0, None)


def test_a_suppressed_finding_opens_one_and_is_marked() -> None:
    incident, _ = go(None, replace(repaired(O.WOULD), suppressed="a drill", dry_run=True))
    assert incident.silent
    assert (incident.findings[0].suppressed, incident.findings[0].dry_run) == ("a drill", True)
    louder, _ = go(incident, scheduled(O.WOULD))
    assert not louder.silent


# -- what comes after


def test_another_call_escalates() -> None:
    incident, stage = go(opened(), scheduled(O.WOULD, severity=Severity.HIGH))
    assert stage is Stage.ESCALATED
    assert (incident.count, incident.caused) == (2, S.PENDING_DELETION)
    assert incident.damaged_at == EPOCH + 1


def test_the_daemons_own_look_is_no_further_call() -> None:
    seen = repaired(O.WOULD, event_id="own", event_name="KeySeenWorse")
    assert go(opened(), seen)[1] is Stage.REPEATED
    assert go(go(None, seen)[0], repaired(O.WOULD))[1] is Stage.REPEATED


def test_a_higher_severity_escalates() -> None:
    incident, stage = go(opened(), repaired(O.WOULD, event_id="2", severity=Severity.CRITICAL))
    assert (stage, incident.severity) == (Stage.ESCALATED, Severity.CRITICAL)


def test_the_same_again_repeats() -> None:
    incident, stage = go(opened(), repaired(O.WOULD, event_id="2", severity=Severity.LOW))
    assert (stage, incident.severity, incident.count) == (Stage.REPEATED, Severity.HIGH, 2)


def test_a_redelivery_says_what_it_said_before_and_changes_nothing() -> None:
    one = opened()
    two, _ = go(one, scheduled(O.WOULD))
    assert go(one, repaired(O.WOULD)) == (one, Stage.OPENED)
    assert go(two, scheduled(O.WOULD)) == (two, Stage.ESCALATED)


def test_an_older_damage_does_not_change_what_came_last() -> None:
    incident, _ = go(None, scheduled(O.WOULD))
    incident, stage = go(incident, repaired(O.WOULD))
    assert (stage, incident.caused, incident.damaged_at) == (
        Stage.ESCALATED,
        S.PENDING_DELETION,
        EPOCH + 1,
    )


def test_findings_are_bounded_and_all_are_counted() -> None:
    incident = opened()
    for number in range(2 * MOST_FINDINGS):
        incident, _ = go(incident, repaired(O.WOULD, event_id=str(number)))
    assert len(incident.findings) == MOST_FINDINGS
    assert incident.count == 2 * MOST_FINDINGS + 1
    assert incident.findings[0].stage is Stage.OPENED
    assert incident.findings[-1].event_id == str(2 * MOST_FINDINGS - 1)


@pytest.mark.parametrize("kind", [Kind.ATTEMPT, Kind.NOTICE, Kind.EVIDENCE])
def test_other_findings_about_the_key_belong_to_it_and_change_nothing(kind: Kind) -> None:
    made = decision(finding(kind=kind), verdict=Verdict.TELL, reason=Reason.NOTICE)
    incident = opened()
    assert go(incident, made) == (incident, Stage.UNCHANGED)
    dropped = replace(made, verdict=Verdict.DROP, reason=Reason.REGION_NOT_ALLOWED)
    assert advance(incident, dropped, None, NOW) is None


def test_what_nobody_confirms_changes_nothing() -> None:
    incident = opened()
    assert go(incident, repaired(O.UNCONFIRMED, event_id="2")) == (incident, Stage.UNCHANGED)


def test_part_of_it_is_repaired() -> None:
    both, _ = go(opened(O.RETRY), policy_changed())
    left = Seen(frozenset({POLICY}))
    incident, stage = go(both, repaired(O.DONE), left)
    assert (stage, incident.wrong, incident.open) == (Stage.REPAIRED, {POLICY}, True)


# -- what ends one


def test_the_repair_that_succeeds_at_last_closes_it() -> None:
    incident, stage = go(opened(O.RETRY), repaired(O.DONE), RIGHT)
    assert (stage, incident.closed_by, incident.count) == (Stage.CLOSED, US, 1)
    assert go(incident, repaired(O.DONE))[1] is Stage.CLOSED, "told again, it says the same"


def test_an_open_one_is_never_closed_by_an_outcome_that_the_ledger_repeats() -> None:
    incident = opened(event_time=EPOCH + 3)
    old = repaired(O.DONE, event_id="old", event_time=EPOCH - 60, at=EPOCH - 50)
    assert looks(incident, old)
    still, stage = go(incident, old, WRONG)
    assert still.open
    assert stage is Stage.REPEATED


def test_somebody_enables_the_key() -> None:
    incident = opened()
    assert looks(incident, enabled())
    incident, stage = go(incident, enabled(), RIGHT)
    assert (stage, incident.closed_by, incident.closed_at) == (Stage.CLOSED, CAROL.arn, NOW)
    assert (incident.wrong, incident.outcome) == (frozenset(), "the key is Enabled")


def test_a_cancelled_deletion_alone_closes_nothing() -> None:
    """It leaves the key Disabled (aws-facts 3.1)."""
    incident, _ = go(None, scheduled(O.WOULD))
    incident, stage = go(incident, recovery("CancelKeyDeletion", BOB), WRONG)
    assert (stage, incident.open, incident.mended_by) == (Stage.UNCHANGED, True, BOB.arn)
    incident, stage = go(incident, enabled(), RIGHT)
    assert (stage, incident.closed_by) == (Stage.CLOSED, CAROL.arn)


def test_while_the_key_cannot_be_read_nothing_is_closed() -> None:
    incident, stage = go(opened(), enabled(), None)
    assert (stage, incident.open, incident.mended_by) == (Stage.UNCHANGED, True, CAROL.arn)


def test_our_own_call_is_ours() -> None:
    own = enabled(verdict=Verdict.DROP, reason=Reason.OWN_CALL)
    incident, stage = go(opened(O.RETRY), own, RIGHT)
    assert (stage, incident.closed_by) == (Stage.CLOSED, US)


def test_seen_right_without_any_news_of_who_did_it() -> None:
    seen = recovery("KeySeenRight", Actor())
    incident, stage = go(opened(), seen, RIGHT)
    assert (stage, incident.closed_by) == (Stage.CLOSED, NOBODY)
    # The news comes after all.
    incident, stage = go(incident, enabled())
    assert (stage, incident.closed_by) == (Stage.CLOSED, CAROL.arn)
    assert go(incident, enabled()) == (incident, Stage.CLOSED)


def test_seen_right_after_news_that_came_while_kms_still_showed_the_old_state() -> None:
    incident, _ = go(opened(), enabled(), WRONG)
    incident, stage = go(incident, recovery("KeySeenRight", Actor()), RIGHT)
    assert (stage, incident.closed_by) == (Stage.CLOSED, CAROL.arn)


def test_who_mended_it_before_it_was_broken_again_did_not_end_it() -> None:
    incident, _ = go(opened(), enabled(), WRONG)
    incident, _ = go(incident, scheduled(O.WOULD, event_time=EPOCH + 7))
    incident, _ = go(incident, recovery("KeySeenRight", Actor()), RIGHT)
    assert incident.closed_by == NOBODY


def test_an_enabling_that_nobody_confirms_names_nobody() -> None:
    forged = enabled(done=(Action("restore_key", O.UNCONFIRMED),))
    incident, _ = go(opened(), forged, RIGHT)
    assert incident.closed_by == NOBODY


def test_a_change_that_is_approved_makes_the_key_right() -> None:
    approved = decision(
        finding(event_id="2", actor=CAROL), verdict=Verdict.ACCEPT, reason=Reason.APPROVED_ACTOR
    )
    incident, stage = go(opened(), approved, RIGHT)
    assert (stage, incident.closed_by) == (Stage.CLOSED, CAROL.arn)


def test_the_policy_is_put_back() -> None:
    incident, _ = go(None, policy_changed())
    again = recovery("PutKeyPolicy", aspect=POLICY)
    assert go(incident, again, Seen(frozenset({POLICY})))[0].open, "the live key says otherwise"
    for seen in (RIGHT, Seen(unknown=frozenset({POLICY}))):
        ended, stage = go(incident, again, seen)
        assert (stage, ended.closed_by) == (Stage.CLOSED, CAROL.arn)


def test_to_enable_the_key_does_not_mend_its_policy() -> None:
    incident, _ = go(None, policy_changed())
    incident, stage = go(incident, enabled(), Seen(frozenset({POLICY})))
    assert (stage, incident.open, incident.mended_by) == (Stage.UNCHANGED, True, "")


def test_by_hand() -> None:
    incident = by_hand.closed(opened(), "carol", "it is meant to be so", NOW)
    assert not incident.open
    assert incident.closed_by == "carol, by hand"
    assert "meant to be" in incident.outcome


# -- what comes when it is over


def test_later_damage_opens_another(closed: Incident) -> None:
    later = repaired(O.WOULD, event_id="2", event_time=NOW + 60)
    assert not looks(closed, later)
    incident, stage = go(closed, later)
    assert (stage, incident.count) == (Stage.OPENED, 1)
    assert incident.id != closed.id


def test_late_news_does_not_open_it_again_while_the_key_is_right(closed: Incident) -> None:
    late = scheduled(O.WOULD)
    assert looks(closed, late)
    for made, seen in ((late, RIGHT), (scheduled(O.ALREADY), None)):
        incident, stage = go(closed, made, seen)
        assert (stage, incident.open, incident.count) == (Stage.ESCALATED, False, 2)
        assert incident.closed_by == CAROL.arn
    assert advance(closed, scheduled(O.ALREADY, event_time=EPOCH - LATE - 1), None, NOW) is None


def test_late_news_opens_it_again_if_the_key_is_wrong(closed: Incident) -> None:
    incident, stage = go(closed, scheduled(O.WOULD), WRONG)
    assert (stage, incident.id, incident.open) == (Stage.OPENED, closed.id, True)
    assert (incident.closed_by, incident.closed_with) == ("", "")


def test_broken_again_in_the_same_second_and_put_back_is_the_same(closed: Incident) -> None:
    incident, stage = go(closed, repaired(O.DONE, event_id="2", event_time=EPOCH + 9))
    assert (stage, incident.closed_by, incident.count) == (Stage.REPEATED, US, 2)
    assert incident.id == closed.id


def test_what_has_nothing_to_do_with_a_closed_one(closed: Incident) -> None:
    assert advance(closed, enabled(at=NOW + 60), None, NOW) is None
    assert go(closed, enabled(at=EPOCH + 1, by=BOB)) == (closed, Stage.UNCHANGED)
    notice = decision(finding(kind=Kind.NOTICE), verdict=Verdict.TELL, reason=Reason.NOTICE)
    assert advance(closed, notice, None, NOW) is None


def test_what_people_are_told(closed: Incident) -> None:
    note = told(closed, Stage.CLOSED, NOW)
    assert (note.id, note.findings, note.closed_by, note.at) == (closed.id, 1, CAROL.arn, NOW)
    made = replace(enabled(), incident=note)
    assert made.weight is Severity.HIGH, "who heard of the damage hears of the end"
    assert replace(made, incident=replace(note, stage=Stage.UNCHANGED)).weight is Severity.INFO


# -- in whatever order


AFTER = {
    "disable": {S.ENABLED: S.DISABLED},
    "schedule": {S.ENABLED: S.PENDING_DELETION, S.DISABLED: S.PENDING_DELETION},
    "cancel": {S.PENDING_DELETION: S.DISABLED},
    "enable": {S.DISABLED: S.ENABLED},
}


class Story:
    """A key in mode `observe`, what people do to it, and the news, which comes when it will."""

    def __init__(self) -> None:
        self.state, self.now = S.ENABLED, EPOCH
        self.news: list[Decision] = []
        self.known: Incident | None = None

    def happen(self, what: str) -> None:
        if self.state not in AFTER[what]:
            return
        self.state, self.now = AFTER[what][self.state], self.now + 10
        match what:
            case "disable":
                self.news.append(repaired(event_id=f"d{self.now}", event_time=self.now))
            case "schedule":
                self.news.append(scheduled(event_id=f"s{self.now}", event_time=self.now))
            case "cancel":
                self.news.append(recovery("CancelKeyDeletion", at=self.now))
            case "enable":
                self.news.append(enabled(at=self.now))

    def arrive(self, number: int) -> None:
        if not self.news:
            return
        made = self.news[number % len(self.news)]
        right = self.state is S.ENABLED
        if made.verdict is Verdict.REPAIR:
            ended = Action("restore_key", O.ALREADY if right else O.WOULD, "", (), self.now)
            made = replace(made, done=(ended,))
        self.take(made)

    def take(self, made: Decision) -> None:
        seen = None
        if self.known is not None and looks(self.known, made):
            seen = RIGHT if self.state is S.ENABLED else WRONG
        advanced = advance(self.known, made, seen, self.now)
        if advanced is not None:
            self.known = advanced[0]


@given(
    steps=st.lists(st.one_of(st.sampled_from(sorted(AFTER)), st.integers(0, 30)), max_size=14),
    order=st.randoms(use_true_random=False),
)
def test_in_any_order_it_is_open_while_the_key_is_wrong(steps: list[Any], order: Any) -> None:
    story = Story()
    for step in steps:
        if isinstance(step, int):
            story.arrive(step)
        else:
            story.happen(step)
    numbers = list(range(len(story.news))) * 2
    order.shuffle(numbers)
    for number in numbers:
        story.arrive(number)
    wrong = story.state is not S.ENABLED
    assert (story.known is not None and story.known.open) is wrong
    if story.known is not None:
        ids = [one.id for one in story.known.findings]
        assert len(ids) == len(set(ids)) == story.known.count
        assert story.known.closed_by in ({""} if wrong else {CAROL.arn, NOBODY})


@given(order=st.permutations(range(4)))
def test_disable_then_schedule_is_one_incident_however_it_comes(order: list[int]) -> None:
    story = Story()
    for what in ("disable", "schedule"):
        story.happen(what)
    for number in order:
        story.arrive(number)
    assert story.known is not None
    assert (story.known.count, story.known.severity) == (2, Severity.CRITICAL)
    assert story.known.findings[0].stage is Stage.OPENED
    for what in ("cancel", "enable"):
        story.happen(what)
    for number in [*order, 2, 3]:
        story.arrive(number)
    assert (story.known.open, story.known.closed_by) == (False, CAROL.arn)


# -- how a live key differs


@pytest.mark.parametrize(
    ("live", "wanted", "wrong"),
    [
        (S.ENABLED, S.ENABLED, False),
        (S.DISABLED, S.ENABLED, True),
        (S.DISABLED, S.DISABLED, False),
        (S.ENABLED, S.DISABLED, False),
        (S.PENDING_DELETION, S.DISABLED, True),
        (S.PENDING_DELETION, S.PENDING_DELETION, False),
        (S.GONE, S.ENABLED, True),
        (S.PENDING_IMPORT, S.ENABLED, True),
    ],
)
def test_the_state(live: KeyState, wanted: KeyState, *, wrong: bool) -> None:
    seen = compare({STATE}, snapshot(live), wanted, None, 0.0)
    assert (STATE in seen.wrong, seen.unknown) == (wrong, frozenset())
    assert seen.words == f"the key is {live}"


BEFORE: KeySnapshot = snapshot(
    S.ENABLED,
    policy="{}",
    rotation_days=365,
    aliases=("alias/a",),
    tags={"tier": "0"},
    grants=(Grant("1", "arn:aws:iam::111122223333:role/app", operations=("Decrypt",)),),
    description="payments",
)
KNOWN = sighted(None, BEFORE)


@pytest.mark.parametrize(
    ("aspect", "change"),
    [
        (Aspect.POLICY, {"policy": '{"Id":"x"}'}),
        (Aspect.ROTATION, {"rotation_days": 0}),
        (Aspect.ALIASES, {"aliases": ()}),
        (Aspect.TAGS, {"tags": {}}),
        (Aspect.GRANTS, {"grants": ()}),
        (Aspect.DESCRIPTION, {"description": ""}),
        (Aspect.REPLICATION, {"primary": KeyRef("111122223333", "us-east-1", "mrk-1")}),
    ],
)
def test_everything_else(aspect: Aspect, change: Any) -> None:
    changed = replace(BEFORE, **change)
    assert compare({aspect}, BEFORE, S.ENABLED, KNOWN, EPOCH).left == frozenset()
    assert compare({aspect}, changed, S.ENABLED, KNOWN, EPOCH).wrong == {aspect}
    assert compare({aspect}, BEFORE, S.ENABLED, None, EPOCH).unknown == {aspect}
    if aspect is not Aspect.REPLICATION:  # of which the key had nothing
        late = compare({aspect}, BEFORE, S.ENABLED, KNOWN, EPOCH - 1)
        assert late.unknown == {aspect}, "first seen only after it was damaged"


def test_of_what_was_damaged_only_that_counts() -> None:
    tagged = replace(BEFORE, tags={"tier": "0", "other": "x"})
    hurt = damaged(KNOWN, {"tag/tier": "9"}, EPOCH + 1)
    assert compare({Aspect.TAGS}, tagged, S.ENABLED, KNOWN, EPOCH).wrong == {Aspect.TAGS}
    assert compare({Aspect.TAGS}, tagged, S.ENABLED, hurt, EPOCH).left == frozenset()
    tagged = replace(BEFORE, tags={"tier": "9"})
    assert compare({Aspect.TAGS}, tagged, S.ENABLED, hurt, EPOCH).wrong == {Aspect.TAGS}


def test_what_was_not_read_is_not_known() -> None:
    unread = snapshot(S.ENABLED)
    for aspect in (Aspect.POLICY, Aspect.GRANTS, Aspect.TAGS):
        assert compare({aspect}, unread, S.ENABLED, KNOWN, EPOCH).unknown == {aspect}
        little = sighted(None, unread)
        assert compare({aspect}, BEFORE, S.ENABLED, little, EPOCH).unknown == {aspect}


def test_a_grant_made_anew_is_the_same_under_another_id() -> None:
    anew = replace(BEFORE, grants=tuple(replace(one, grant_id="2") for one in BEFORE.grants or ()))
    assert compare({Aspect.GRANTS}, anew, S.ENABLED, KNOWN, EPOCH).left == frozenset()
