"""Every branch of the policy, one line each: what is done, why, by whom."""

from typing import Any

import pytest
from msgspec.structs import replace

from monitor.approval import NeverApprove
from monitor.decision import Reason, Verdict
from monitor.finding import Actor, Aspect, Kind
from monitor.key import KeyRef
from monitor.policy import Mode, Rules, decide, is_approved, is_own, own_form
from tests.samples import ACCOUNT, BOB, KEY, KEY_ID, OTHER_ACCOUNT, REGION, finding

ROLE = f"arn:aws:iam::{ACCOUNT}:role/path/ops-admin"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/ops-admin/alice"
HEAD = "123456789012"
RESOURCE: dict[str, Any] = {"kind": Kind.NOTICE, "key": None, "resource": "arn:aws:iam::1:role/x"}
OWN_ROLE = f"arn:aws:sts::{ACCOUNT}:assumed-role/kms-monitor"
RULES = Rules(
    mode=Mode.ENFORCE,
    places=frozenset({(ACCOUNT, REGION), (OTHER_ACCOUNT, "us-east-1")}),
    trusted_accounts=frozenset({HEAD}),
    repairers=("restore_key",),
    tellers=("sns", "mqtt"),
    modes={"staged": Mode.OBSERVE},
    approved_actors=(f"arn:aws:iam::{ACCOUNT}:user/approved-*", ROLE),
    own_arns=frozenset({OWN_ROLE}),
)
OBSERVE = replace(RULES, mode=Mode.OBSERVE, modes={"bold": Mode.ENFORCE})
NEVER = replace(RULES, never_approve=NeverApprove(keys=[KEY_ID]))
ALL, REPAIRERS, TELLERS = ("restore_key", "sns", "mqtt"), ("restore_key",), ("sns", "mqtt")
APPROVED = Actor(arn=f"arn:aws:iam::{ACCOUNT}:user/approved-bob", account=ACCOUNT)
OURSELVES = Actor(arn=f"{OWN_ROLE}/pod-1", account=ACCOUNT)


@pytest.mark.parametrize(
    ("changes", "rules", "judgement"),
    [
        ({}, RULES, (Verdict.REPAIR, Reason.ENFORCE, ALL, False)),
        ({}, OBSERVE, (Verdict.REPAIR, Reason.OBSERVE, ALL, True)),
        # the mode of one detector differs from that of the whole
        ({"detector": "staged"}, RULES, (Verdict.REPAIR, Reason.OBSERVE, ALL, True)),
        ({"detector": "bold"}, OBSERVE, (Verdict.REPAIR, Reason.ENFORCE, ALL, False)),
        # a failed attempt and a notice are told, never repaired, whoever it was
        ({"kind": Kind.ATTEMPT}, RULES, (Verdict.TELL, Reason.FAILED_ATTEMPT, TELLERS, False)),
        (
            {"kind": Kind.ATTEMPT, "key": None, "actor": APPROVED},
            RULES,
            (Verdict.TELL, Reason.FAILED_ATTEMPT, TELLERS, False),
        ),
        ({"kind": Kind.NOTICE}, RULES, (Verdict.TELL, Reason.NOTICE, TELLERS, False)),
        ({"key": None}, RULES, (Verdict.TELL, Reason.NO_KEY, TELLERS, False)),
        ({"kind": Kind.RECOVERY}, RULES, (Verdict.TELL, Reason.RECOVERY, TELLERS, False)),
        ({"kind": Kind.EVIDENCE}, RULES, (Verdict.TELL, Reason.EVIDENCE, TELLERS, False)),
        (
            {"kind": Kind.NOTICE, "actor": OURSELVES},
            RULES,
            (Verdict.DROP, Reason.OWN_CALL, (), False),
        ),
        (
            {"kind": Kind.ATTEMPT, "actor": OURSELVES},
            RULES,
            (Verdict.TELL, Reason.FAILED_ATTEMPT, TELLERS, False),
        ),
        # what no responder can put back is told
        ({"aspect": Aspect.POLICY}, RULES, (Verdict.TELL, Reason.NO_REPAIRER, TELLERS, False)),
        (
            {"aspect": Aspect.POLICY, "actor": APPROVED},
            RULES,
            (Verdict.TELL, Reason.APPROVED_ACTOR, TELLERS, False),
        ),
        (
            {"aspect": Aspect.POLICY},
            replace(RULES, aspects=frozenset({Aspect.POLICY})),
            (Verdict.REPAIR, Reason.ENFORCE, ALL, False),
        ),
        # what our sight rests on counts wherever it is; a key only where it is guarded
        ({**RESOURCE, "region": "us-east-1"}, RULES, (Verdict.TELL, Reason.NOTICE, TELLERS, False)),
        ({**RESOURCE, "account": HEAD}, RULES, (Verdict.TELL, Reason.NOTICE, TELLERS, False)),
        (
            {**RESOURCE, "account": "999988887777"},
            RULES,
            (Verdict.DROP, Reason.ACCOUNT_NOT_ALLOWED, (), False),
        ),
        (
            {"key": replace(KEY, account=HEAD), "account": HEAD},
            RULES,
            (Verdict.DROP, Reason.ACCOUNT_NOT_ALLOWED, (), False),
        ),
        (
            {**RESOURCE, "resource": "", "region": "us-east-1"},
            RULES,
            (Verdict.DROP, Reason.REGION_NOT_ALLOWED, (), False),
        ),
        # approved, and still told
        ({"actor": APPROVED}, RULES, (Verdict.ACCEPT, Reason.APPROVED_ACTOR, ALL, False)),
        ({"actor": APPROVED}, OBSERVE, (Verdict.ACCEPT, Reason.APPROVED_ACTOR, ALL, True)),
        # what nobody minds moves the baseline, and nobody is told
        # a key that is never to be approved for is put back, whoever it was
        ({"actor": APPROVED}, NEVER, (Verdict.REPAIR, Reason.ENFORCE, ALL, False)),
        (
            {"actor": APPROVED, "aspect": Aspect.POLICY},
            NEVER,
            (Verdict.TELL, Reason.NO_REPAIRER, TELLERS, False),
        ),
        ({"kind": Kind.CHANGE}, RULES, (Verdict.ACCEPT, Reason.ACCEPTED_CHANGE, REPAIRERS, False)),
        ({"kind": Kind.CHANGE}, OBSERVE, (Verdict.ACCEPT, Reason.ACCEPTED_CHANGE, REPAIRERS, True)),
        # our own repair comes back to us; damage under our name is damage all the same
        (
            {"kind": Kind.CHANGE, "actor": OURSELVES},
            RULES,
            (Verdict.DROP, Reason.OWN_CALL, (), False),
        ),
        ({"actor": OURSELVES}, RULES, (Verdict.REPAIR, Reason.ENFORCE, ALL, False)),
    ],
)
def test_each_case(
    changes: dict[str, Any], rules: Rules, judgement: tuple[Verdict, Reason, tuple[str, ...], bool]
) -> None:
    made = decide(finding(**changes), rules)
    assert (made.verdict, made.reason, made.responders, made.dry_run) == judgement


TRAIL = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/main"
SIGHT: dict[str, Any] = {
    "key": None,
    "caused": None,
    "resource": TRAIL,
    "sight": True,
    "event_name": "StopLogging",
}
MENDER = replace(RULES, sight_repairers=("restore_sight",))
WATCHER = replace(OBSERVE, sight_repairers=("restore_sight",))
BOTH, MENDERS = ("restore_sight", "sns", "mqtt"), ("restore_sight",)


@pytest.mark.parametrize(
    ("changes", "rules", "judgement"),
    [
        ({}, MENDER, (Verdict.REPAIR, Reason.ENFORCE, BOTH, False)),
        ({}, WATCHER, (Verdict.REPAIR, Reason.OBSERVE, BOTH, True)),
        ({"detector": "staged"}, MENDER, (Verdict.REPAIR, Reason.OBSERVE, BOTH, True)),
        # without a responder for it, it is told, whoever repairs keys
        ({}, RULES, (Verdict.TELL, Reason.NO_REPAIRER, TELLERS, False)),
        ({"kind": Kind.NOTICE}, MENDER, (Verdict.TELL, Reason.NOTICE, TELLERS, False)),
        ({"kind": Kind.ATTEMPT}, MENDER, (Verdict.TELL, Reason.FAILED_ATTEMPT, TELLERS, False)),
        # nothing is written into an account that is only trusted, or nobody's
        (
            {"resource": TRAIL.replace(ACCOUNT, HEAD), "account": HEAD},
            MENDER,
            (Verdict.TELL, Reason.NO_REPAIRER, TELLERS, False),
        ),
        (
            {"resource": TRAIL.replace(ACCOUNT, "999988887777")},
            MENDER,
            (Verdict.TELL, Reason.NO_REPAIRER, TELLERS, False),
        ),
        ({"resource": "main"}, MENDER, (Verdict.TELL, Reason.NO_REPAIRER, TELLERS, False)),
        ({"actor": APPROVED}, MENDER, (Verdict.ACCEPT, Reason.APPROVED_ACTOR, BOTH, False)),
        ({"actor": APPROVED}, RULES, (Verdict.TELL, Reason.APPROVED_ACTOR, TELLERS, False)),
        # a change that no detector minds moves the baseline only if it is approved; nobody is told
        (
            {"kind": Kind.CHANGE, "actor": APPROVED},
            MENDER,
            (Verdict.ACCEPT, Reason.APPROVED_ACTOR, MENDERS, False),
        ),
        ({"kind": Kind.CHANGE}, MENDER, (Verdict.TELL, Reason.NOTICE, (), False)),
        (
            {"kind": Kind.CHANGE, "actor": APPROVED},
            RULES,
            (Verdict.TELL, Reason.APPROVED_ACTOR, (), False),
        ),
        # a repair comes back to us; harm under our name is harm
        (
            {"actor": OURSELVES, "event_name": "PutRule"},
            MENDER,
            (Verdict.DROP, Reason.OWN_CALL, (), False),
        ),
        ({"actor": OURSELVES}, MENDER, (Verdict.REPAIR, Reason.ENFORCE, BOTH, False)),
        ({"actor": OURSELVES, "event_name": "PutRule", "sight": False}, MENDER, None),
    ],
)
def test_what_we_see_by(changes: dict[str, Any], rules: Rules, judgement: Any) -> None:
    found = decide(finding(**SIGHT | changes), rules)
    if judgement is None:
        assert found.verdict is not Verdict.DROP
    else:
        assert (found.verdict, found.reason, found.responders, found.dry_run) == judgement


@pytest.mark.parametrize(
    ("key", "account", "region", "reason"),
    [
        (KeyRef("999988887777", REGION, KEY_ID), ACCOUNT, REGION, Reason.ACCOUNT_NOT_ALLOWED),
        (KeyRef(ACCOUNT, "us-east-1", KEY_ID), ACCOUNT, REGION, Reason.REGION_NOT_ALLOWED),
        # not each account with each Region, but the pairs
        (KeyRef(OTHER_ACCOUNT, REGION, KEY_ID), ACCOUNT, REGION, Reason.REGION_NOT_ALLOWED),
        # without a key the record's own words count
        (None, "999988887777", REGION, Reason.ACCOUNT_NOT_ALLOWED),
        (None, ACCOUNT, "us-east-1", Reason.REGION_NOT_ALLOWED),
        (None, "", "", Reason.ACCOUNT_NOT_ALLOWED),
    ],
)
@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_not_in_the_allow_list_is_dropped_whatever_it_is(
    kind: Kind, key: KeyRef | None, account: str, region: str, reason: Reason
) -> None:
    decision = decide(finding(kind=kind, key=key, account=account, region=region), RULES)
    assert (decision.verdict, decision.reason) == (Verdict.DROP, reason)
    assert not decision.responders


@pytest.mark.parametrize(
    ("account", "region", "caller", "agrees"),
    [
        (ACCOUNT, REGION, ACCOUNT, True),
        ("", "", ACCOUNT, True),
        # a call across accounts: the caller's account has a record of it, too
        (OTHER_ACCOUNT, REGION, OTHER_ACCOUNT, True),
        (OTHER_ACCOUNT, REGION, ACCOUNT, False),
        (OTHER_ACCOUNT, REGION, "", False),
        (ACCOUNT, "us-east-1", ACCOUNT, False),
    ],
)
def test_a_record_that_contradicts_its_own_key_writes_nothing(
    account: str, region: str, caller: str, agrees: bool
) -> None:
    for kind in (Kind.DAMAGE, Kind.CHANGE):
        found = finding(kind=kind, account=account, region=region, actor=Actor(account=caller))
        decision = decide(found, RULES)
        assert (decision.reason is Reason.RECORD_DISAGREES) is not agrees
        if not agrees:
            assert (decision.verdict, decision.responders) == (Verdict.TELL, TELLERS)


@pytest.mark.parametrize(
    ("arn", "issuer", "approved"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/approved-x", "", True),
        (f"arn:aws:iam::{ACCOUNT}:user/bob", "", False),
        (SESSION, ROLE, True),
        (SESSION, ROLE.replace("/path", ""), False),
        (SESSION, "", False),
        # names that their holder chose
        (
            f"arn:aws:sts::{ACCOUNT}:assumed-role/x/approved-x",
            f"arn:aws:iam::{ACCOUNT}:role/x",
            False,
        ),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/approved-x", "", False),
        (
            f"arn:aws:sts::{ACCOUNT}:federated-user/x",
            f"arn:aws:iam::{ACCOUNT}:user/approved-x",
            True,
        ),
        # an issuer counts only for a session
        (f"arn:aws:iam::{ACCOUNT}:user/bob", ROLE, False),
        ("", ROLE, False),
        ("", "", False),
        (ROLE.upper(), "", False),
    ],
)
def test_who_is_approved(arn: str, issuer: str, approved: bool) -> None:
    assert is_approved(Actor(arn=arn, issuer_arn=issuer), RULES) is approved


def test_nobody_is_approved_by_an_empty_list_and_no_name_is_not_everybody() -> None:
    assert not is_approved(BOB, replace(RULES, approved_actors=()))
    assert not is_approved(Actor(), replace(RULES, approved_actors=("*",)))


@pytest.mark.parametrize(
    ("arn", "own"),
    [
        (f"{OWN_ROLE}/pod-1", True),
        (f"{OWN_ROLE}/another/pod", False),
        (f"{OWN_ROLE}-2/pod-1", False),
        (f"arn:aws:iam::{ACCOUNT}:user/monitor", True),
        (f"arn:aws:iam::{ACCOUNT}:user/monitor/x", False),
        ("", False),
    ],
)
def test_who_we_are(arn: str, own: bool) -> None:
    rules = replace(RULES, own_arns=frozenset({OWN_ROLE, f"arn:aws:iam::{ACCOUNT}:user/monitor"}))
    assert is_own(Actor(arn=arn), rules) is own


def test_our_own_form_is_the_session_without_its_name() -> None:
    assert own_form(f"{OWN_ROLE}/pod-1") == OWN_ROLE
    assert own_form(str(KEY)) == str(KEY)
