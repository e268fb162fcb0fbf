"""Whom to contain and by which policy: `monitor.containment`, judged by our own reading of policies."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.containment import (
    DAMAGE,
    PREFIX,
    Target,
    found_worse,
    holds,
    identity_of,
    is_ours,
    is_spared,
    policy_document,
    policy_name,
    target,
)
from monitor.decision import Action, Outcome
from monitor.finding import Actor
from monitor.iam_policy.document import parse
from monitor.simulator.inline import InlinePolicies
from monitor.simulator.words import Caller
from tests.samples import ACCOUNT, BOB, EPOCH, decision

IAM = f"arn:aws:iam::{ACCOUNT}"
ROLE = Target("role", ACCOUNT, "deployer", f"{IAM}:role/teams/deployer")
USER = Target("user", ACCOUNT, "bob", BOB.arn)
SESSION = Actor(
    type="AssumedRole",
    arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/night",
    account=ACCOUNT,
    issuer_arn=ROLE.arn,
    session="night",
)


def test_a_session_is_its_role_and_a_user_himself() -> None:
    assert target(SESSION) == ROLE
    assert target(BOB) == USER


def test_a_federated_user_is_whoever_vouched_for_him() -> None:
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/x"
    assert target(Actor(type="FederatedUser", arn=arn, issuer_arn=BOB.arn)) == USER


@pytest.mark.parametrize(
    ("actor", "why"),
    [
        (Actor(arn=f"{IAM}:root"), "root user"),
        (Actor(arn=f"arn:aws:sts::{ACCOUNT}:federated-user/x", issuer_arn=f"{IAM}:root"), "root"),
        (Actor(arn=f"{IAM}:role/aws-service-role/eks.amazonaws.com/x"), "only AWS can assume"),
        (
            Actor(
                arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Admin_1/carol",
                issuer_arn=f"{IAM}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_1",
            ),
            "Identity Center",
        ),
        (Actor(arn=SESSION.arn, issuer_arn=ROLE.arn, invoked_by="ec2.amazonaws.com"), "by itself"),
        (Actor(account="999988887777"), "names no IAM"),
        (Actor(), "names no IAM"),
        (Actor(arn=SESSION.arn), "names no IAM"),
        (Actor(arn=f"{IAM}:user/"), "names no IAM"),
        (Actor(arn=f"{IAM}:user/a b"), "names no IAM"),
        (Actor(arn=f"{IAM}:user/x\nroot"), "names no IAM"),
    ],
)
def test_whom_nobody_contains(actor: Actor, why: str) -> None:
    found = target(actor)
    assert isinstance(found, str)
    assert why in found


@given(st.text(max_size=300) | st.from_regex(r"arn:aws:iam::[0-9]{12}:(user|role)/[!-~]{0,200}"))
def test_any_text_is_an_identity_or_none(arn: str) -> None:
    found = identity_of(arn)
    assert found is None or (found.arn == arn and arn.endswith(f"/{found.name}"))


def test_a_long_arn_takes_no_time() -> None:
    assert identity_of(f"{IAM}:user/" + "a/" * 5000 + " ") is None


@pytest.mark.parametrize(
    ("pattern", "spared"),
    [
        (ROLE.arn, True),
        (f"{IAM}:role/teams/*", True),
        ("*:assumed-role/deployer/night", True),
        ("arn:aws:iam::*:role/break-glass-*", False),
        ("deployer", False),
    ],
)
def test_break_glass(pattern: str, *, spared: bool) -> None:
    assert is_spared(ROLE, SESSION, [pattern]) is spared


def test_we_are_known_by_our_role_and_by_what_sts_says() -> None:
    assert is_ours(ROLE, SESSION.arn)
    assert is_ours(ROLE, "", ROLE.arn)
    assert is_ours(USER, BOB.arn)
    assert not is_ours(ROLE, f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer-2/night")
    assert not is_ours(
        ROLE, "arn:aws:sts::444455556666:assumed-role/deployer/night", f"{IAM}:role/x"
    )
    assert not is_ours(USER, SESSION.arn)


def test_the_name_is_one_that_iam_takes() -> None:
    assert policy_name("ab" * 16) == PREFIX + "ab" * 16
    assert policy_name("a/b c\n../") == PREFIX + "abc"
    assert len(policy_name("f" * 500)) <= 128


# -- what the policies do


def denies(one: Target, document: str, action: str, issued_at: float = 0.0) -> bool:
    inline = InlinePolicies()
    inline.learn({(one.account, one.kind, one.name): [document]})
    service, _, call = action.partition(":")
    user = one.name if one.kind == "user" else ""
    role = one.arn if one.kind == "role" else ""
    return inline.denies(
        Caller(account=one.account, arn=one.arn, user=user, role_arn=role),
        issued_at,
        service,
        call,
    )


def test_all_that_the_older_sessions_do_is_denied_and_nothing_of_the_newer_ones() -> None:
    document = policy_document(ROLE, "all", EPOCH + 0.5)
    for action in ("kms:DisableKey", "s3:GetObject"):
        assert denies(ROLE, document, action, EPOCH - 3600)
        assert denies(ROLE, document, action, EPOCH)
        assert not denies(ROLE, document, action, EPOCH + 1)


def test_a_user_is_denied_with_every_credential_he_has() -> None:
    document = policy_document(USER, "all", EPOCH)
    assert denies(USER, document, "kms:DisableKey")
    assert denies(USER, document, "kms:DisableKey", EPOCH + 9999)


@pytest.mark.parametrize(
    ("action", "denied"),
    [
        ("kms:DisableKey", True),
        ("kms:ScheduleKeyDeletion", True),
        ("kms:DeleteImportedKeyMaterial", True),
        ("kms:PutKeyPolicy", True),
        ("kms:RetireGrant", True),
        ("kms:Decrypt", False),
        ("kms:DescribeKey", False),
        ("cloudtrail:StopLogging", True),
        ("cloudtrail:LookupEvents", False),
        ("events:RemoveTargets", True),
        ("sqs:PurgeQueue", True),
        ("sqs:SendMessage", False),
        ("iam:DeleteUserPolicy", True),
        ("iam:CreateAccessKey", True),
        ("sts:AssumeRole", True),
        ("s3:PutObject", False),
    ],
)
def test_only_damage_is_denied_where_that_is_wanted(action: str, *, denied: bool) -> None:
    assert denies(USER, policy_document(USER, "damage", EPOCH), action) is denied


@pytest.mark.parametrize("wide", ["all", "damage"])
@pytest.mark.parametrize("one", [ROLE, USER])
def test_documents_are_denials_alone_and_fit(one: Target, wide: Any) -> None:
    document = policy_document(one, wide, EPOCH)
    (statement,) = parse(document).statements
    assert not statement.allow
    assert bool(statement.conditions) is (one is ROLE)
    assert len(document) <= 2048
    assert len(set(DAMAGE)) == len(DAMAGE)


def test_what_is_there_suffices_if_it_denies_as_much_or_longer() -> None:
    early, late = (policy_document(ROLE, "all", EPOCH + more) for more in (0, 60))
    assert holds(json.loads(late), early)
    assert holds(json.loads(early), early)
    assert not holds(json.loads(early), late)
    assert not holds(json.loads(policy_document(ROLE, "damage", EPOCH + 60)), early)
    assert not holds(json.loads(policy_document(USER, "all", EPOCH)), early)
    assert not holds(json.loads(late), policy_document(USER, "all", EPOCH))
    assert holds(json.loads(policy_document(USER, "all", 0)), policy_document(USER, "all", EPOCH))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["Statement", "Condition", "DateLessThan"]), inner)
        ),
        max_leaves=10,
    )
)
def test_no_other_document_suffices(document: Any) -> None:
    assert not holds(document, policy_document(ROLE, "all", EPOCH))
    assert not holds(document, policy_document(USER, "all", EPOCH))


@pytest.mark.parametrize(
    ("action", "worse"),
    [
        (Action("restore_key", Outcome.DONE, calls=("EnableKey",)), True),
        (Action("restore_key", Outcome.RETRY, calls=("EnableKey",)), True),
        (Action("restore_key", Outcome.WOULD), True),
        (Action("restore_key", Outcome.REFUSED), True),
        (Action("restore_key", Outcome.DENIED), True),
        (Action("restore_key", Outcome.ALREADY), False),
        (Action("restore_key", Outcome.UNCONFIRMED), False),
        (Action("restore_key", Outcome.DONE), False),
        (Action("contain", Outcome.DONE, calls=("PutUserPolicy",), about_caller=True), False),
    ],
)
def test_a_key_that_the_repairer_found_well_proves_no_damage(
    action: Action, *, worse: bool
) -> None:
    assert found_worse(decision(done=(action,))) is worse
