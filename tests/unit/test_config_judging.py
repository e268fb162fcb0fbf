"""The verdict about a key, from what is known of it."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from monitor.baseline import Baseline, Origin, Register
from monitor.config_rule.judging import Compliance, Standards, judge, unreadable
from monitor.config_rule.parameters import RuleParameters
from monitor.errors import Denied, MonitorError
from monitor.key import KeySnapshot, KeyState, canonical
from monitor.key_policy.answers import Trust
from monitor.register import POLICY, ROTATION, STATE
from tests.samples import ACCOUNT, EPOCH, KEY, OTHER_ACCOUNT

DAY = 86_400.0
ROOT = {
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "Action": "kms:*",
    "Resource": "*",
}
STRANGER = {
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"},
    "Action": "kms:Decrypt",
    "Resource": "*",
}


def policy(*statements: dict[str, Any]) -> str:
    return canonical({"Version": "2012-10-17", "Statement": list(statements)})


def key(state: KeyState = KeyState.ENABLED, **changes: Any) -> KeySnapshot:
    given: dict[str, Any] = {"policy": policy(ROOT), "rotation_days": 365}
    return KeySnapshot(KEY, state, EPOCH, **given | changes)


def known(origin: Origin, **values: Any) -> Baseline:
    return Baseline(KEY, {name: Register(value, EPOCH, origin) for name, value in values.items()})


def verdict(
    live: KeySnapshot,
    before: Baseline | None = None,
    unread: dict[str, MonitorError] | None = None,
    trust: Trust | None = None,
    **parameters: Any,
) -> tuple[Compliance, str]:
    standards = Standards(RuleParameters(**parameters), trust or Trust())
    return judge(live, before, standards, EPOCH, unread or {})


@pytest.mark.parametrize(
    ("state", "parameter", "words"),
    [
        (KeyState.DISABLED, "disabled", "disabled"),
        (KeyState.PENDING_DELETION, "pending_deletion", "scheduled for deletion"),
        (
            KeyState.PENDING_REPLICA_DELETION,
            "pending_deletion",
            "scheduled for deletion once its replicas are gone",
        ),
        (KeyState.PENDING_IMPORT, "material_missing", "its imported key material is missing"),
        (KeyState.UNAVAILABLE, "unavailable", "its custom key store cannot be reached"),
    ],
)
def test_every_bad_state_counts_unless_the_rule_says_otherwise(
    state: KeyState, parameter: str, words: str
) -> None:
    assert verdict(key(state)) == (Compliance.NON_COMPLIANT, words)
    switched: dict[str, Any] = {parameter: False}
    assert verdict(key(state), **switched)[0] is Compliance.COMPLIANT


@pytest.mark.parametrize("state", [KeyState.ENABLED, KeyState.CREATING, KeyState.UPDATING])
def test_what_is_well_or_passes_by_itself_is_compliant(state: KeyState) -> None:
    assert verdict(key(state)) == (
        Compliance.COMPLIANT,
        f"{state}; nothing that counts is wrong",
    )


def test_keys_that_are_gone_or_aws_own_are_not_judged() -> None:
    assert verdict(key(KeyState.GONE))[0] is Compliance.NOT_APPLICABLE
    managed = key(KeyState.DISABLED, customer_managed=False)
    assert verdict(managed)[0] is Compliance.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("origin", "compliance"),
    [
        (Origin.ACCEPTED, Compliance.COMPLIANT),
        (Origin.PEOPLE, Compliance.COMPLIANT),
        (Origin.SEEN, Compliance.NON_COMPLIANT),
        (Origin.HISTORY, Compliance.NON_COMPLIANT),
        (Origin.DAMAGE, Compliance.NON_COMPLIANT),
    ],
)
def test_only_what_somebody_stood_up_for_passes(origin: Origin, compliance: Compliance) -> None:
    disabled = known(origin, **{STATE: "Disabled"})
    assert verdict(key(KeyState.DISABLED), disabled)[0] is compliance
    # Nobody accepted that it is deleted.
    assert verdict(key(KeyState.PENDING_DELETION), disabled)[0] is Compliance.NON_COMPLIANT
    deletion = known(origin, **{STATE: "PendingDeletion"})
    assert verdict(key(KeyState.PENDING_DELETION), deletion)[0] is compliance
    let_in = known(origin, **{POLICY: policy(ROOT, STRANGER)})
    assert verdict(key(policy=policy(ROOT, STRANGER)), let_in)[0] is compliance


def test_a_policy_is_judged_in_itself_and_beside_the_one_before() -> None:
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    words = verdict(key(policy=policy(ROOT, everybody)))[1]
    assert words.startswith("key policy: everybody may ")
    seen = known(Origin.SEEN, **{POLICY: policy(ROOT, admin())})
    lost = verdict(key(policy=policy(ROOT)), seen)
    assert lost[0] is Compliance.NON_COMPLIANT
    assert "role/admin may no longer" in lost[1]
    assert verdict(key(policy=policy(ROOT, STRANGER)))[0] is Compliance.NON_COMPLIANT
    trusted = Trust(frozenset({OTHER_ACCOUNT}))
    assert verdict(key(policy=policy(ROOT, STRANGER)), trust=trusted)[0] is Compliance.COMPLIANT
    assert verdict(key(policy=policy(everybody)), policy_unsafe=False)[0] is Compliance.COMPLIANT


def admin() -> dict[str, Any]:
    return ROOT | {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/admin"}}


def test_a_policy_that_is_not_there_or_no_policy_is_not_green() -> None:
    for text in (None, "{}x", '"x"'):
        compliance, words = verdict(key(policy=text))
        assert compliance is Compliance.NON_COMPLIANT
        assert "cannot be understood" in words


@pytest.mark.parametrize(
    ("choice", "before", "bad"),
    [
        ("changed", None, False),
        ("changed", known(Origin.SEEN, **{ROTATION: 0}), False),
        ("changed", known(Origin.SEEN, **{ROTATION: 365}), True),
        ("changed", known(Origin.ACCEPTED, **{ROTATION: 0}), False),
        ("true", None, True),
        ("true", known(Origin.SEEN, **{ROTATION: 0}), True),
        ("true", known(Origin.PEOPLE, **{ROTATION: 0}), False),
        ("true", known(Origin.PEOPLE, **{ROTATION: 365}), True),
        ("false", known(Origin.SEEN, **{ROTATION: 365}), False),
    ],
)
def test_rotation_that_is_off(choice: str, before: Baseline | None, bad: bool) -> None:
    off = key(rotation_days=0)
    wanted = Compliance.NON_COMPLIANT if bad else Compliance.COMPLIANT
    assert verdict(off, before, rotation_off=choice)[0] is wanted
    for changes in ({"origin": "EXTERNAL"}, {"spec": "RSA_2048"}, {"rotation_days": None}):
        assert verdict(replace(off, **changes), before, rotation_off=choice)[0] is (
            Compliance.COMPLIANT
        )


@pytest.mark.parametrize(("days", "bad"), [(0.5, True), (29.9, True), (30.1, False)])
def test_material_that_runs_out(days: float, bad: bool) -> None:
    live = key(origin="EXTERNAL", valid_to=EPOCH + days * DAY)
    compliance, words = verdict(live)
    assert (compliance is Compliance.NON_COMPLIANT) is bad
    if bad:
        assert f"expires in {int(days)} days, at 2026-" in words
    assert verdict(live, material_expiring_days=0)[0] is Compliance.COMPLIANT


def test_the_worst_stands_first_in_so_many_characters() -> None:
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    strangers = [
        STRANGER | {"Principal": {"AWS": f"arn:aws:iam::{number:012d}:root"}}
        for number in range(20)
    ]
    live = key(KeyState.DISABLED, policy=policy(everybody, ROOT, *strangers), rotation_days=0)
    compliance, words = verdict(live, rotation_off="true")
    assert compliance is Compliance.NON_COMPLIANT
    assert len(words) <= 256
    assert words.endswith("...")
    assert words.startswith("key policy: everybody may ")
    assert words.index("everybody") < words.index("disabled")


def test_names_of_others_cannot_break_the_line() -> None:
    hostile = STRANGER | {"Principal": {"AWS": "arn:aws:iam::444455556666:user/a\n\u202eb"}}
    words = verdict(key(policy=policy(ROOT, hostile)))[1]
    assert words.isprintable()


def test_what_cannot_be_read_is_not_green() -> None:
    error = Denied("kms:GetKeyPolicy: AccessDeniedException: no", code="AccessDeniedException")
    compliance, words = verdict(
        key(KeyState.PENDING_DELETION, policy=None, deletion_date=EPOCH),
        unread={"GetKeyPolicy": error},
    )
    assert compliance is Compliance.NON_COMPLIANT
    assert words == (
        "scheduled for deletion, gone for good at 2026-11-20T09:14:03Z; "
        "its key policy cannot be judged: AccessDeniedException"
    )
    assert unreadable(error)[0] is Compliance.NON_COMPLIANT
    assert unreadable(error, "Enabled")[1] == "cannot be judged: AccessDeniedException"
    assert json.dumps(unreadable(error, "Disabled")[1]).startswith('"Disabled when AWS Config')
