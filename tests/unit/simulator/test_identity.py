"""Access keys, sessions and deny rules."""

import random

import pytest

from monitor.simulator.deny import DenyRule
from monitor.simulator.identity import Identities
from monitor.simulator.words import Caller, Refusal

HOME, OTHER = "111122223333", "444455556666"
ROLE = f"arn:aws:iam::{OTHER}:role/path/ops"


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def identities(clock: Clock) -> Identities:
    return Identities([HOME, OTHER], now=clock, rng=random.Random(1))


def who(identities: Identities, key_id: str) -> Caller:
    return identities.caller(key_id, source_ip="203.0.113.7", user_agent="agent")


def test_any_word_is_a_user_of_the_first_account(identities: Identities) -> None:
    mallory = who(identities, "mallory")
    assert mallory.arn == f"arn:aws:iam::{HOME}:user/mallory"
    assert (mallory.account, mallory.user, mallory.source_ip) == (HOME, "mallory", "203.0.113.7")
    assert who(identities, "root").arn == f"arn:aws:iam::{HOME}:root"


def test_a_role_session(identities: Identities, clock: Clock) -> None:
    session = identities.assume_role(who(identities, "admin"), role_arn=ROLE, session_name="me")
    caller = who(identities, session.caller.access_key_id)
    assert caller.access_key_id.startswith("ASIA")
    assert (caller.account, caller.role_arn, caller.session) == (OTHER, ROLE, "me")
    assert caller.arn == f"arn:aws:sts::{OTHER}:assumed-role/ops/me"
    assert identities.described(caller)["sessionContext"]["attributes"]["creationDate"]
    clock.seconds += 3600
    with pytest.raises(Refusal, match="ExpiredTokenException"):
        who(identities, caller.access_key_id)


def test_sessions_of_others_are_refused(identities: Identities) -> None:
    with pytest.raises(Refusal, match="UnrecognizedClientException"):
        who(identities, "ASIAUNKNOWN")


def test_a_users_temporary_credentials_stay_the_user(identities: Identities) -> None:
    session = identities.session_token(who(identities, "admin"), 900)
    caller = who(identities, session.caller.access_key_id)
    assert caller.arn == f"arn:aws:iam::{HOME}:user/admin"


@pytest.mark.parametrize(
    ("role_arn", "session_name", "duration", "code"),
    [
        ("arn:aws:iam::999999999999:role/ops", "me", 3600, "AccessDenied"),
        ("ops", "me", 3600, "ValidationError"),
        (ROLE, "not a name", 3600, "ValidationError"),
        (ROLE, "me", 60, "ValidationError"),
    ],
)
def test_roles_that_cannot_be_assumed(
    identities: Identities, role_arn: str, session_name: str, duration: int, code: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        identities.assume_role(
            who(identities, "admin"),
            role_arn=role_arn,
            session_name=session_name,
            duration=duration,
        )
    assert refusal.value.code == code


def test_external_ids_and_role_chains(identities: Identities) -> None:
    identities.external_id = "shared"
    admin = who(identities, "admin")
    with pytest.raises(Refusal, match="AccessDenied"):
        identities.assume_role(admin, role_arn=ROLE, session_name="me", external_id="other")
    session = identities.assume_role(
        admin, role_arn=ROLE, session_name="me", external_id="shared", duration=7200
    )
    first = who(identities, session.caller.access_key_id)
    with pytest.raises(Refusal, match="role chaining"):
        identities.assume_role(first, role_arn=ROLE, session_name="again", duration=7200)


USER = Caller(account=HOME, arn=f"arn:aws:iam::{HOME}:user/mallory", user="mallory")
SESSION = Caller(
    account=OTHER,
    arn=f"arn:aws:sts::{OTHER}:assumed-role/ops/me",
    role_arn=ROLE,
    session="me",
)


@pytest.mark.parametrize(
    ("rule", "caller", "denied"),
    [
        ("mallory:kms:DisableKey", USER, True),
        ("mallory:kms:disablekey", USER, True),
        ("user/mallory:kms:DisableKey", USER, True),
        ("mal*:kms:Disable*", USER, True),
        ("*:kms:*", SESSION, True),
        ("role/ops:kms:*", SESSION, True),
        ("role/path/ops:kms:*", SESSION, True),
        (f"{ROLE}:kms:*", SESSION, True),
        (f"arn:aws:sts::{OTHER}:assumed-role/*:*:*", SESSION, True),
        ("mallory:kms:EnableKey", USER, False),
        ("mallory:sqs:DisableKey", USER, False),
        ("admin:kms:*", USER, False),
        ("ops:kms:*", SESSION, False),
        ("role/mallory:kms:*", USER, False),
    ],
)
def test_deny_rules(rule: str, caller: Caller, denied: bool) -> None:
    assert DenyRule.parse(rule).denies(caller, "kms", "DisableKey") is denied


@pytest.mark.parametrize("text", ["", "mallory", "mallory:kms", "mallory::DisableKey"])
def test_deny_rules_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="WHO:SERVICE:ACTION"):
        DenyRule.parse(text)
