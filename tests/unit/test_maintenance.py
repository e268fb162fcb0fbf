"""When a maintenance window is open, and whose changes it lets pass.

In scope: `monitor.maintenance`, and `monitor.policy` and `monitor.approvals` as far as they use it. The
calendar is the real one, of Berlin: clocks go forward at 02:00 on 2026-03-29 and back at 03:00 on
2026-10-25.
"""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError

from monitor.approval import NeverApprove
from monitor.approvals import Approvals
from monitor.decision import Reason, Verdict
from monitor.finding import Actor, Aspect, Finding, Kind
from monitor.maintenance import Maintenance
from monitor.policy import Mode, Rules, decide, may_be_meant
from monitor.tiers import Tier
from tests.samples import ACCOUNT, BOB, EPOCH, KEY, KEY_ID, OTHER_ACCOUNT, REGION, finding

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)


def window(**given: Any) -> Maintenance:
    about = {
        "name": "patching",
        "cron": "0 2 * * sun",
        "time_zone": "Europe/Berlin",
        "minutes": 240,
        "actors": [BOB.arn],
    }
    return Maintenance.model_validate(about | given)


def berlin(text: str, *, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


@pytest.mark.parametrize(
    ("cron", "moment", "fold", "is_open"),
    [
        # an ordinary Sunday: from 02:00 on, for four hours; the end is not in it
        ("0 2 * * sun", "2026-11-22T01:59:59", 0, False),
        ("0 2 * * sun", "2026-11-22T02:00:00", 0, True),
        ("0 2 * * sun", "2026-11-22T05:59:59", 0, True),
        ("0 2 * * sun", "2026-11-22T06:00:00", 0, False),
        ("0 2 * * sun", "2026-11-23T02:30:00", 0, False),
        # over midnight
        ("0 22 * * sat", "2026-11-22T01:59:00", 0, True),
        ("0 22 * * sat", "2026-11-22T02:00:00", 0, False),
        # there is no 02:00 to 03:00: it begins at 03:00, and is open for four hours all the same
        ("30 2 * * sun", "2026-03-29T01:59:59", 0, False),
        ("30 2 * * sun", "2026-03-29T03:00:00", 0, True),
        ("30 2 * * sun", "2026-03-29T06:59:59", 0, True),
        ("30 2 * * sun", "2026-03-29T07:00:00", 0, False),
        # begun before the clocks go forward: four hours of real time end at 06:00
        ("0 1 * * sun", "2026-03-29T05:59:59", 0, True),
        ("0 1 * * sun", "2026-03-29T06:00:00", 0, False),
        # 02:00 to 03:00 comes twice: it begins with the first, and once
        ("30 2 * * sun", "2026-10-25T02:29:59", 0, False),
        ("30 2 * * sun", "2026-10-25T02:30:00", 0, True),
        ("30 2 * * sun", "2026-10-25T02:00:00", 1, True),
        ("30 2 * * sun", "2026-10-25T02:29:00", 1, True),
        ("30 2 * * sun", "2026-10-25T05:29:59", 0, True),
        ("30 2 * * sun", "2026-10-25T05:30:00", 0, False),
        ("0 1 * * sun", "2026-10-25T03:59:59", 0, True),
        ("0 1 * * sun", "2026-10-25T04:00:00", 0, False),
    ],
)
def test_when_it_is_open(cron: str, moment: str, fold: int, is_open: bool) -> None:
    assert window(cron=cron).open_at(berlin(moment, fold=fold)) is is_open


@given(
    # most of them around the changes of the clocks
    st.one_of(
        st.integers(int(berlin("2026-03-28T20:00")), int(berlin("2026-03-29T08:00"))),
        st.integers(int(berlin("2026-10-24T20:00")), int(berlin("2026-10-25T08:00"))),
        st.integers(int(berlin("2026-01-01T00:00")), int(berlin("2027-01-01T00:00"))),
    ),
    st.sampled_from(["30 2 * * sun", "0 1,2,3 * * *", "15 */2 * * *", "45 2 29 3 *", "* 2 * * *"]),
    st.integers(1, 1500),
)
@example(int(berlin("2026-10-25T02:30", fold=1)), "45 2 * * *", 46)
def test_it_is_open_from_each_of_its_starts_for_so_long(
    moment: int, cron: str, minutes: int
) -> None:
    """Asked from far before, every start is found on the way; the last one decides."""
    made = window(cron=cron, minutes=minutes)
    started = False
    after = float(moment - minutes * 60 - 2 * 86400)
    while (start := made.next_start(after)) is not None and start.timestamp() <= moment:
        after = start.timestamp()
        started = moment < after + minutes * 60
    assert made.open_at(float(moment)) is started


@pytest.mark.parametrize("moment", [-1e18, -62135596800.0, 0.0, 253402300799.0, 1e18])
def test_a_time_that_no_calendar_has_is_in_no_window(moment: float) -> None:
    assert window(cron="* * * * mon#5").open_at(moment) in {True, False}
    assert not window(cron="0 2 * * sun", minutes=1).open_at(moment)


def test_when_it_begins_next() -> None:
    start = window().next_start(berlin("2026-11-26T08:00"))
    assert start == datetime(2026, 11, 29, 2, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cron": "0 25 * * *"}, "is no cron expression: Bad hour"),
        ({"cron": "0 2 * *"}, "must have five fields"),
        ({"cron": "0 0 2 * * *"}, "must have five fields"),
        ({"cron": "* * */20 * 1L"}, "never comes"),
        ({"cron": "0 0 31 2 *"}, "Bad day-of-month"),
        ({"time_zone": "Europe/Bonn"}, "must be a time zone's name"),
        ({"time_zone": "../../etc/passwd"}, "must be a time zone's name"),
        ({"time_zone": ""}, "must be a time zone's name"),
        ({"actors": []}, "at least 1 item"),
        ({"actors": ["*"]}, "must say more"),
        ({"minutes": 0}, "greater than or equal to 1"),
        ({"minutes": 10081}, "less than or equal"),
    ],
)
def test_what_is_no_window(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        window(**wrong)


# -- what it lets pass; the event is of Friday, 2026-11-20, 10:14 in Berlin

OPEN = window(cron="0 10 * * fri", minutes=30)
KNOWN = finding(tags={"stage": "lab"}, aliases=("alias/a",), tags_known=True, aliases_known=True)
UNKNOWN = finding()
RULES = Rules(
    mode=Mode.ENFORCE,
    places=frozenset({(ACCOUNT, REGION)}),
    repairers=("restore_key",),
    tellers=("sns",),
    tiers={"lab": Tier(name="lab", tags={"stage": "lab"})},
)
LEFT = (Verdict.ACCEPT, Reason.APPROVED_ACTOR, "patching")
UNDONE = (Verdict.REPAIR, Reason.ENFORCE, "")


def judged(found: Finding, made: Maintenance, **changes: Any) -> tuple[Verdict, Reason, str]:
    decision = decide(found, replace(RULES, maintenance=(made,), **changes))
    return decision.verdict, decision.reason, decision.window


@pytest.mark.parametrize(
    ("about", "known", "unknown"),
    [
        ({}, LEFT, LEFT),
        ({"keys": [KEY_ID]}, LEFT, LEFT),
        ({"keys": ["alias/a"]}, LEFT, UNDONE),
        ({"keys": ["alias/b"]}, UNDONE, UNDONE),
        ({"tags": {"stage": "lab"}}, LEFT, UNDONE),
        ({"tiers": ["lab"]}, LEFT, UNDONE),
        ({"accounts": [ACCOUNT]}, LEFT, LEFT),
        ({"accounts": [OTHER_ACCOUNT]}, UNDONE, UNDONE),
        ({"actors": ["arn:aws:iam::*:user/alice"]}, UNDONE, UNDONE),
        ({"actors": ["arn:aws:iam::*:user/b?b"]}, LEFT, LEFT),
        ({"cron": "0 11 * * fri"}, UNDONE, UNDONE),
        ({"cron": "0 10 * * thu"}, UNDONE, UNDONE),
    ],
)
def test_whose_changes_to_which_keys_are_meant(
    about: dict[str, Any],
    known: tuple[Verdict, Reason, str],
    unknown: tuple[Verdict, Reason, str],
) -> None:
    """What is not known of a key keeps the window shut."""
    made = OPEN.model_validate(OPEN.model_dump() | about)
    assert judged(KNOWN, made) == known
    assert judged(UNKNOWN, made) == unknown


def test_a_session_counts_as_its_role_whatever_it_calls_itself() -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/ops/patching"
    session = Actor(
        arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/patching/x", issuer_arn=role, account=ACCOUNT
    )
    made = OPEN.model_copy(update={"actors": [role]})
    assert judged(replace(KNOWN, actor=session), made) == LEFT
    forged = replace(session, arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/y/patching", issuer_arn="")
    assert judged(replace(KNOWN, actor=forged), made) == UNDONE


@pytest.mark.parametrize(
    ("never", "known", "unknown"),
    [
        ({"tags": {"stage": "lab"}}, UNDONE, UNDONE),
        ({"keys": ["alias/a"]}, UNDONE, UNDONE),
        # of a key that is not known it may be one
        ({"tags": {"stage": "crown"}}, LEFT, UNDONE),
        ({"keys": ["alias/crown"]}, LEFT, UNDONE),
        ({"keys": ["1234*"]}, LEFT, LEFT),
    ],
)
def test_never_for_keys_whose_changes_are_never_approved(
    never: dict[str, Any],
    known: tuple[Verdict, Reason, str],
    unknown: tuple[Verdict, Reason, str],
) -> None:
    assert judged(KNOWN, OPEN, never_approve=NeverApprove(**never)) == known
    assert judged(UNKNOWN, OPEN, never_approve=NeverApprove(**never)) == unknown


def test_only_damage_is_meant_and_only_where_we_guard() -> None:
    assert judged(replace(KNOWN, kind=Kind.ATTEMPT), OPEN)[1:] == (Reason.FAILED_ATTEMPT, "")
    assert judged(replace(KNOWN, kind=Kind.CHANGE), OPEN)[1:] == (Reason.ACCEPTED_CHANGE, "")
    told = judged(replace(KNOWN, aspect=Aspect.POLICY), OPEN)
    assert told == (Verdict.TELL, Reason.APPROVED_ACTOR, "patching")
    assert judged(KNOWN, OPEN, places=frozenset())[0] is Verdict.DROP


@pytest.mark.parametrize(
    ("days", "left"), [("30", True), ("11", True), ("10", False), (None, False)]
)
async def test_a_deletion_in_a_hurry_is_undone_all_the_same(days: str | None, left: bool) -> None:
    deletion = replace(
        KNOWN,
        event_name="ScheduleKeyDeletion",
        details={"window_days": days} if days else {},
    )
    rules = replace(RULES, maintenance=(OPEN,))
    (decision,) = await Approvals().decide([deletion], rules, EPOCH)
    assert (decision.verdict is Verdict.ACCEPT) is left


@pytest.mark.parametrize(
    ("about", "never", "at", "meant"),
    [
        ({}, {}, EPOCH, True),
        ({}, {}, EPOCH - 900, False),  # before it begins
        ({}, {}, EPOCH + 1500, True),  # it ended ten minutes ago
        ({}, {}, EPOCH + 5000, False),
        ({"tags": {"stage": "lab"}}, {}, EPOCH, True),  # that is not known
        ({"accounts": [OTHER_ACCOUNT]}, {}, EPOCH, False),
        ({}, {"tags": {"tier": "0"}}, EPOCH, False),
    ],
)
def test_whether_what_the_sweep_finds_may_be_meant(
    about: dict[str, Any], never: dict[str, Any], at: float, meant: bool
) -> None:
    """Whoever did it, and whatever may be the case: the history will tell."""
    made = OPEN.model_validate(OPEN.model_dump() | about)
    rules = replace(RULES, maintenance=(made,), never_approve=NeverApprove(**never))
    assert may_be_meant(KEY, None, None, rules, at=at, before=3600) is meant
