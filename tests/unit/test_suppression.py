"""What a suppression silences, for how long, and that it silences only.

In scope: `monitor.suppression`, and `monitor.policy` as far as it uses it. Both are pure.
"""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError

from monitor.decision import Reason, Verdict
from monitor.finding import Actor, Finding, Kind, Severity
from monitor.key import KeyRef
from monitor.policy import Mode, Rules, decide
from monitor.suppression import Suppression
from tests.samples import ACCOUNT, ARN, BOB, EPOCH, KEY, KEY_ID, OTHER_ACCOUNT, REGION, finding

ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci/deployer"
SESSION = Actor(
    arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/run-77",
    issuer_arn=ROLE,
    account=ACCOUNT,
    source_ip="203.0.113.7",
    user_agent="Terraform/1.9",
)
FOUND = finding(actor=SESSION, tags={"team": "payments"}, aliases=("alias/payments",))
RULES = Rules(
    mode=Mode.ENFORCE,
    places=frozenset({(ACCOUNT, REGION)}),
    repairers=("restore_key",),
    tellers=("sns", "mqtt"),
)


def suppression(**changes: Any) -> Suppression:
    return Suppression.model_validate({"reason": "a drill", "until": "never"} | changes)


@pytest.mark.parametrize(
    ("criteria", "covers"),
    [
        ({"detectors": ["key_disabled"]}, True),
        ({"detectors": ["x", "key_*"]}, True),
        ({"detectors": ["key_del*"]}, False),
        ({"actors": [ROLE]}, True),
        ({"actors": [f"arn:aws:iam::{ACCOUNT}:role/ci/*"]}, True),
        ({"actors": [f"arn:aws:iam::{ACCOUNT}:role/deployer"]}, False),
        # neither the session's name nor the agent is looked at: their holder chooses them
        ({"actors": ["*run-77"]}, False),
        ({"actors": ["*Terraform*"]}, False),
        ({"accounts": [ACCOUNT]}, True),
        ({"accounts": [OTHER_ACCOUNT]}, False),
        ({"addresses": ["203.0.113.0/24"]}, True),
        ({"addresses": ["203.0.113.7"]}, True),
        ({"addresses": ["203.0.113.8/29"]}, False),
        ({"addresses": ["2001:db8::/32"]}, False),
        ({"tags": {"team": "pay*"}}, True),
        ({"tags": {"team": "pay*", "stage": "*"}}, False),
        ({"tags": {"Team": "pay*"}}, False),
        ({"keys": [KEY_ID]}, True),
        ({"keys": [ARN]}, True),
        ({"keys": [f"arn:aws:kms:*:{ACCOUNT}:key/*"]}, True),
        ({"keys": ["alias/pay*"]}, True),
        ({"keys": ["alias/other"]}, False),
        # all criteria, any entry
        ({"detectors": ["key_disabled"], "accounts": [OTHER_ACCOUNT]}, False),
        ({"detectors": ["key_disabled"], "accounts": [OTHER_ACCOUNT, ACCOUNT]}, True),
    ],
)
def test_all_that_is_named_must_match(criteria: dict[str, Any], covers: bool) -> None:
    assert suppression(**criteria).covers(FOUND) is covers


@pytest.mark.parametrize(
    ("address", "block", "inside"),
    [
        ("2001:db8::1", "2001:db8::/32", True),
        ("::ffff:203.0.113.7", "203.0.113.0/24", True),
        ("cloudformation.amazonaws.com", "0.0.0.0/0", False),
        ("AWS Internal", "::/0", False),
        ("", "0.0.0.0/0", False),
        ("203.0.113.7, 10.0.0.1", "0.0.0.0/0", False),
    ],
)
def test_addresses(address: str, block: str, inside: bool) -> None:
    found = replace(FOUND, actor=Actor(source_ip=address))
    assert suppression(addresses=[block]).covers(found) is inside


def test_what_is_not_known_matches_nothing() -> None:
    nobody = finding(actor=Actor(), key=None, account="")
    for criteria in (
        {"actors": ["*a*", "*"]},
        {"keys": ["*", "?*"]},
        {"tags": {"a": "*"}},
        {"accounts": [ACCOUNT]},
        {"addresses": ["0.0.0.0/0"]},
    ):
        assert not suppression(**criteria).covers(nobody)


def test_the_account_is_the_keys() -> None:
    elsewhere = finding(key=KeyRef(OTHER_ACCOUNT, REGION, KEY_ID), account=ACCOUNT)
    assert not suppression(accounts=[ACCOUNT]).covers(elsewhere)
    assert suppression(accounts=[ACCOUNT]).covers(finding(key=None, resource="x"))


def test_critical_findings_need_a_word_of_their_own() -> None:
    worst = replace(FOUND, severity=Severity.CRITICAL)
    assert not suppression(accounts=[ACCOUNT]).covers(worst)
    assert suppression(accounts=[ACCOUNT], even_critical=True).covers(worst)


def test_it_runs_out_by_the_events_own_time() -> None:
    short = suppression(accounts=[ACCOUNT], until="2026-11-20T10:14:04+01:00")
    assert short.until == EPOCH + 1
    assert short.covers(FOUND)
    assert not short.covers(replace(FOUND, event_time=EPOCH + 1))
    assert suppression(accounts=[ACCOUNT]).until == math.inf


@pytest.mark.parametrize(
    "changes",
    [
        {"until": None},
        {"until": "2026-11-20T10:00:00"},
        {"until": "2026-11-20"},
        {"until": "soon"},
        {"until": 1_795_166_043},
        {"until": True},
        {"reason": ""},
        {"accounts": []},
        {"accounts": [111122223333]},
        {"accounts": [], "detectors": ["*"], "keys": ["**"]},
        {"addresses": ["203.0.113.7/24"]},
        {"addresses": ["example.org"]},
        {"user_agents": ["*"]},
        {"detectors": [""]},
    ],
)
def test_what_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        suppression(**({"accounts": [ACCOUNT]} | changes))


def test_an_end_has_to_be_said() -> None:
    with pytest.raises(ValidationError, match="until"):
        Suppression.model_validate({"reason": "x", "accounts": [ACCOUNT]})


SILENT = replace(RULES, suppressions=(suppression(accounts=[ACCOUNT], even_critical=True),))


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, ("restore_key",)),
        ({"kind": Kind.CHANGE}, ("restore_key",)),
        ({"kind": Kind.ATTEMPT}, ()),
        ({"kind": Kind.NOTICE}, ()),
        ({"kind": Kind.EVIDENCE}, ()),
        ({"severity": Severity.CRITICAL}, ("restore_key",)),
    ],
)
def test_the_key_is_put_back_and_nobody_is_told(
    changes: dict[str, Any], left: tuple[str, ...]
) -> None:
    found = finding(**changes)
    loud, silent = decide(found, RULES), decide(found, SILENT)
    assert silent == replace(loud, responders=left, suppressed="a drill")


def test_the_first_that_covers_it_gives_the_reason() -> None:
    rules = replace(
        RULES,
        suppressions=(
            suppression(accounts=[OTHER_ACCOUNT], reason="not this"),
            suppression(keys=[KEY_ID], reason="this"),
            suppression(accounts=[ACCOUNT], reason="nor this"),
        ),
    )
    assert decide(FOUND, rules).suppressed == "this"


def test_what_is_dropped_anyway_is_not_called_suppressed() -> None:
    decision = decide(FOUND, replace(SILENT, places=frozenset()))
    assert (decision.verdict, decision.suppressed) == (Verdict.DROP, "")
    assert decision.reason is Reason.ACCOUNT_NOT_ALLOWED


FINDINGS = st.builds(
    finding,
    kind=st.sampled_from(Kind),
    severity=st.sampled_from(Severity),
    key=st.sampled_from([None, KEY]),
    actor=st.builds(
        Actor,
        arn=st.sampled_from(["", BOB.arn, SESSION.arn]),
        issuer_arn=st.sampled_from(["", ROLE]),
        account=st.sampled_from(["", ACCOUNT]),
        source_ip=st.one_of(st.text(max_size=20), st.ip_addresses().map(str)),
    ),
    tags=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)
PATTERNS = st.lists(st.text(min_size=1, max_size=5), max_size=2)


@given(FINDINGS, PATTERNS, PATTERNS, PATTERNS, st.booleans())
def test_it_never_changes_what_is_repaired_or_why(
    found: Finding, detectors: list[str], actors: list[str], keys: list[str], critical: bool
) -> None:
    made = suppression(
        detectors=detectors,
        actors=actors,
        keys=keys,
        addresses=["0.0.0.0/0", "::/0"],
        even_critical=critical,
    )
    loud, silent = decide(found, RULES), decide(found, replace(RULES, suppressions=(made,)))
    for name in ("verdict", "reason", "dry_run"):
        assert getattr(loud, name) == getattr(silent, name)
    assert [name for name in loud.responders if name in RULES.repairers] == [
        name for name in silent.responders if name in RULES.repairers
    ]
