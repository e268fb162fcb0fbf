"""What an approval covers, what none ever covers, and who may not approve."""

from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import ValidationError

from monitor.approval import EARLY, NeverApprove, State, Use, is_actor
from monitor.finding import Actor
from monitor.key import KeyRef
from tests.samples import ACCOUNT, ARN, BOB, EPOCH, KEY, KEY_ID, OTHER_ACCOUNT, approval, finding

ROLE = f"arn:aws:iam::{ACCOUNT}:role/ops/key-admins"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/key-admins/bob"
OF_ROLE = Actor(arn=SESSION, issuer_arn=ROLE, account=ACCOUNT)
EVENT = finding().event_id
MINE, OTHERS = Use(EVENT, EPOCH), Use("another", EPOCH)
DELETION = finding(event_name="ScheduleKeyDeletion", details={"window_days": "30"})


@pytest.mark.parametrize(
    ("changes", "of_finding", "covered"),
    [
        ({}, {}, True),
        ({"key": replace(KEY, region="us-east-1")}, {}, False),
        ({"key": replace(KEY, account=OTHER_ACCOUNT)}, {}, False),
        ({}, {"key": None}, False),
        ({}, {"event_name": "ScheduleKeyDeletion"}, False),
        ({}, {"event_name": "disablekey"}, False),
        # the actor: the user's or role's own ARN, never a session's name
        ({"actor": f"arn:aws:iam::{ACCOUNT}:user/b*"}, {}, True),
        ({"actor": f"arn:aws:iam::{ACCOUNT}:user/alice"}, {}, False),
        ({"actor": ROLE}, {"actor": OF_ROLE}, True),
        ({"actor": SESSION}, {"actor": OF_ROLE}, False),
        ({"actor": "*"}, {"actor": Actor()}, False),
        # time: the event's own
        ({"made_at": EPOCH + EARLY}, {}, True),
        ({"made_at": EPOCH + EARLY + 0.5}, {}, False),
        ({"until": EPOCH}, {}, True),
        ({"until": EPOCH - 0.5}, {}, False),
        # spent, revoked
        ({"used": (OTHERS,)}, {}, False),
        ({"used": (OTHERS,), "uses": 2}, {}, True),
        ({"used": (MINE,)}, {}, True),
        ({"revoked_at": EPOCH}, {}, False),
        ({"revoked_at": EPOCH, "used": (MINE,)}, {}, True),
    ],
)
def test_what_it_covers(changes: Any, of_finding: Any, covered: bool) -> None:
    assert approval(**changes).covers(finding(**of_finding)) is covered


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.OPEN),
        ({"until": EPOCH}, State.OPEN),
        ({"until": EPOCH - 1}, State.EXPIRED),
        ({"used": (MINE,)}, State.USED),
        ({"used": (MINE,), "uses": 2}, State.OPEN),
        ({"used": (MINE,), "until": EPOCH - 1}, State.USED),
        ({"used": (MINE,), "revoked_at": EPOCH}, State.REVOKED),
    ],
)
def test_its_state(changes: Any, state: State) -> None:
    assert approval(**changes).state(EPOCH) is state


@pytest.mark.parametrize(
    ("given", "aliases", "tags", "holds"),
    [
        ({}, None, None, False),
        ({"keys": [KEY_ID]}, None, None, True),
        ({"keys": [ARN]}, None, None, True),
        ({"keys": ["arn:aws:kms:*:*:key/*"]}, None, None, True),
        ({"keys": ["mrk-*"]}, None, None, False),
        ({"keys": ["alias/tier-0-*"]}, ["alias/tier-0-root"], {}, True),
        ({"keys": ["alias/tier-0-*"]}, ["alias/other"], {}, False),
        ({"keys": ["alias/tier-0-*"]}, [], {}, False),
        # what is not known counts against it
        ({"keys": ["alias/tier-0-*"]}, None, {}, True),
        ({"keys": ["al*"]}, None, {}, True),
        ({"keys": ["[a]lias/x"]}, None, {}, True),
        ({"tags": {"tier": "0"}}, [], None, True),
        ({"tags": {"tier": "0"}}, [], {}, False),
        ({"tags": {"tier": "0"}}, [], {"tier": "1"}, False),
        ({"tags": {"tier": "0"}}, [], {"Tier": "0"}, False),
        ({"tags": {"tier": "0", "pci": "*"}}, [], {"pci": "yes"}, True),
    ],
)
def test_keys_that_are_never_to_be_approved_for(
    given: Any, aliases: Any, tags: Any, holds: bool
) -> None:
    assert NeverApprove(**given).holds(KEY, aliases, tags) is holds


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({}, False),
        ({"keys": [ARN, "mrk-*"]}, False),
        ({"keys": ["*-0"]}, True),
        ({"tags": {"a": "b"}}, True),
    ],
)
def test_whether_a_name_tells(given: Any, needed: bool) -> None:
    assert NeverApprove(**given).needs_to_know is needed


@pytest.mark.parametrize(
    ("days", "short"),
    [(["30"], False), (["11"], False), (["10"], True), (["7"], True), (["30", "7"], True),
     ([], True), (["x"], True), (["\u0663"], True), ([None, "30"], False)],
)  # fmt: skip
def test_deletions_with_a_short_waiting_period(days: list[str | None], short: bool) -> None:
    findings = [replace(DELETION, details={"window_days": one} if one else {}) for one in days]
    assert (
        NeverApprove().too_short([finding(), *(findings or [replace(DELETION, details={})])])
        is short
    )


def test_only_deletions_have_a_waiting_period() -> None:
    assert not NeverApprove().too_short([])
    assert not NeverApprove(window_days=29).too_short([finding(details={"window_days": "1"})])
    assert NeverApprove(window_days=29).too_short(
        [replace(DELETION, details={"window_days": "29"})]
    )
    for wrong in (6, 30):  # AWS takes 7 to 30 days, and 30 is its default
        with pytest.raises(ValidationError):
            NeverApprove(window_days=wrong)


@pytest.mark.parametrize(
    ("approver", "actor", "same"),
    [
        (BOB.arn, BOB.arn, True),
        ("bob", BOB.arn, True),
        ("BOB", BOB.arn, True),
        ("alice", BOB.arn, False),
        ("alice", f"arn:aws:iam::{ACCOUNT}:user/*", False),
        (f"arn:aws:iam::{ACCOUNT}:user/alice", BOB.arn, False),
        (f"arn:aws:iam::{ACCOUNT}:user/alice", f"arn:aws:iam::{ACCOUNT}:user/*", True),
        (SESSION, ROLE, True),
        (SESSION, f"arn:aws:iam::{ACCOUNT}:role/ops/*", True),
        (SESSION, f"arn:aws:iam::{OTHER_ACCOUNT}:role/ops/key-admins", False),
        (SESSION, f"arn:aws:iam::{ACCOUNT}:user/key-admins", False),
        (SESSION, f"arn:aws:iam::{ACCOUNT}:role/ops/deployer", False),
        (f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:iam::{ACCOUNT}:root", True),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/x", BOB.arn, False),
    ],
)
def test_nobody_approves_what_he_does(approver: str, actor: str, same: bool) -> None:
    assert is_actor(approver, actor) is same


def test_identity_is_the_whole_arn() -> None:
    twin = KeyRef(ACCOUNT, "eu-west-1", KEY_ID, "aws-cn")
    assert not approval(key=twin).covers(finding())
