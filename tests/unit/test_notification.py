"""What people and machines are told: honest about the outcome, and harmless whatever the event held.

In scope: `monitor.telling`. Nothing is replaced; all of it is pure.
"""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.decision import Action, Budget, Decision, IncidentNote, Outcome, Reason, Stage, Verdict
from monitor.finding import Actor, Aspect, Finding, Kind, Severity
from monitor.key import KeyRef, KeyState
from monitor.telling import advice
from monitor.telling.headline import clean, subject
from monitor.telling.notification import group_key, message, text
from monitor.telling.times import ago
from tests.samples import approval

KEY = KeyRef("111122223333", "eu-west-1", "0a1b2c3d-1111-2222-3333-444455556666")
SCHEDULED = Finding(
    detector="key_deletion_scheduled",
    title="KMS key scheduled for deletion",
    kind=Kind.DAMAGE,
    severity=Severity.CRITICAL,
    event_id="3f2b8a44-0000-4000-8000-123456789abc",
    event_name="ScheduleKeyDeletion",
    event_time=1_763_976_843.0,
    account=KEY.account,
    region=KEY.region,
    key=KEY,
    caused=KeyState.PENDING_DELETION,
    actor=Actor(
        type="AssumedRole",
        arn="arn:aws:sts::111122223333:assumed-role/Admin/bob",
        session="bob",
        source_ip="198.51.100.7",
        user_agent="aws-cli/2.31",
    ),
    details={"window_days": "7"},
)
DISABLED = replace(
    SCHEDULED, detector="key_disabled", event_name="DisableKey", caused=KeyState.DISABLED
)
BOTH = ("CancelKeyDeletion", "EnableKey")


def decided(
    outcome: Outcome | None = None,
    calls: tuple[str, ...] = (),
    finding: Finding = SCHEDULED,
    verdict: Verdict = Verdict.REPAIR,
    reason: Reason = Reason.ENFORCE,
) -> Decision:
    done = (
        (Action("restore_key", outcome, "as it says", calls, 1_763_976_850.0),) if outcome else ()
    )
    dry_run = reason is Reason.OBSERVE
    return Decision(
        finding, verdict, reason, ("restore_key", "sns", "mqtt"), dry_run=dry_run, done=done
    )


def test_subject_says_symptom_and_outcome() -> None:
    line = subject(decided(Outcome.DONE, BOTH), "prod")
    assert line == (
        "[CRITICAL] KMS key 0a1b2c3d-111 scheduled for deletion: cancelled and enabled again (prod)"
    )


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.DENIED, "REPAIR DENIED, act now"),
        (Outcome.FAILED, "REPAIR FAILED, retrying"),
        (Outcome.RETRY, "NOT UNDONE YET, retrying"),
        (Outcome.REFUSED, "CANNOT BE UNDONE"),
        (Outcome.UNCONFIRMED, "not confirmed by AWS"),
        (None, "NOT UNDONE"),
    ],
)
def test_subject_is_honest(outcome: Outcome | None, words: str) -> None:
    assert words in subject(decided(outcome), "prod")
    assert "again" not in subject(decided(outcome), "prod")


def test_another_message_that_went_out_is_no_repair() -> None:
    told = Action("sns", Outcome.DONE, "MessageId 1")
    sent_only = Decision(SCHEDULED, Verdict.REPAIR, Reason.ENFORCE, ("sns", "mqtt"), done=(told,))
    assert advice.stage(sent_only) == "unrepaired"
    broken_sns = Action("sns", Outcome.RETRY)
    repaired = decided(Outcome.DONE, BOTH)
    repaired = replace(repaired, done=(*repaired.done, broken_sns))
    assert advice.stage(repaired) == "done"


def test_a_key_that_ends_disabled_is_not_called_usable() -> None:
    cancelled = decided(Outcome.DONE, ("CancelKeyDeletion",))
    assert "cancelled, left disabled as before" in subject(cancelled, "prod")
    assert "usable" not in text(cancelled, "prod")


def test_an_approval_that_nobody_confirms_is_told_as_it_was_handled() -> None:
    def approved(outcome: Outcome, calls: tuple[str, ...] = ()) -> Decision:
        return decided(outcome, calls, verdict=Verdict.ACCEPT, reason=Reason.APPROVED_ACTOR)

    assert subject(approved(Outcome.DONE), "").endswith(": approved, left as it is")
    assert subject(approved(Outcome.RETRY), "").endswith(": not confirmed yet, retrying")
    undone = approved(Outcome.DONE, BOTH)
    assert "cancelled and enabled again" in subject(undone, "prod")
    assert message(undone, "prod")["outcome"] == "done"
    assert "Only if it was not meant" in text(approved(Outcome.RETRY), "prod")


def test_dry_run_is_said_loudly() -> None:
    would = decided(Outcome.WOULD, reason=Reason.OBSERVE)
    assert subject(would, "prod").startswith("[DRY RUN] [CRITICAL]")
    assert "NOT undone" in subject(would, "prod")
    assert "DRY RUN: kms-monitor only watches" in text(would, "prod")
    assert message(would, "prod")["dry_run"] is True
    silent = decided(reason=Reason.OBSERVE)
    assert "NOT undone" in subject(silent, "prod")


def test_a_long_title_never_pushes_the_outcome_out() -> None:
    long = replace(SCHEDULED, event_name="PutKeyPolicy", title="policy " * 100)
    line = subject(decided(Outcome.DENIED, finding=long), "prod")
    assert 90 < len(line) <= 99
    assert line.endswith(": REPAIR DENIED, act now")


def test_text_answers_the_questions() -> None:
    body = text(decided(Outcome.DONE, BOTH), "prod")
    for part in (
        "usable again and nothing is lost",
        KEY.arn,
        "assumed-role/Admin/bob (AssumedRole, session bob, without MFA)",
        "198.51.100.7, aws-cli/2.31",
        "2025-11-24T09:34:03Z",
        "account 111122223333, Region eu-west-1, environment prod",
        "window_days: 7",
        "restore_key: DONE at 2025-11-24T09:34:10Z: as it says",
        "calls sent: CancelKeyDeletion, EnableKey",
        f"$ aws kms schedule-key-deletion --key-id {KEY.arn} --region eu-west-1 --pending-",
        "--pending-window-in-days 7",
        "https://eu-west-1.console.aws.amazon.com/kms/home?region=eu-west-1#/kms/keys/0a1b2c3d",
        "cloudtrailv2/home?region=eu-west-1#/events/3f2b8a44-0000-4000-8000-123456789abc",
        SCHEDULED.finding_id,
    ):
        assert part in body


def test_an_approval_is_named_with_who_gave_it_and_what_is_left() -> None:
    assert message(decided(), "prod")["approval"] is None
    assert "Meant" not in text(decided(), "prod")
    given = approval(reason="end of \u202elife", until=SCHEDULED.event_time + 3661.4)
    meant = replace(
        decided(verdict=Verdict.ACCEPT, reason=Reason.APPROVED_CHANGE),
        approval=given,
        received_at=SCHEDULED.event_time + 1,
    )
    assert message(meant, "prod")["approval"] == {
        "id": given.id,
        "ticket": "CHG-1",
        "approver": "alice",
        "reason": "end of ?life",
        "until": "2025-11-24T10:35:04Z",
        "seconds_left": 3660,
    }
    body = text(meant, "prod")
    assert f"Meant   CHG-1 (end of ?life), approved by alice, approval {given.id}\n" in body
    assert "        until 2025-11-24T10:35:04Z, 61 min left\n" in body
    assert "approved, left as it is" in subject(meant, "prod")
    late = replace(meant, received_at=given.until + 600, approval=replace(given, reason=""))
    assert "CHG-1, approved by alice" in text(late, "prod")
    assert ", 0 min left" in text(late, "prod")


def test_commands_by_hand_where_the_repair_failed() -> None:
    body = text(decided(Outcome.DENIED), "prod")
    assert f"$ aws kms cancel-key-deletion --key-id {KEY.arn} --region eu-west-1" in body
    assert f"$ aws kms enable-key --key-id {KEY.arn}" in body
    assert "rights back" in body
    undo = text(decided(Outcome.DONE, ("EnableKey",), DISABLED), "prod")
    assert f"$ aws kms disable-key --key-id {KEY.arn}" in undo


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_links_follow_the_partition(partition: str, region: str, host: str) -> None:
    key = KeyRef(KEY.account, region, KEY.key_id, partition)
    pages = advice.links(replace(SCHEDULED, key=key, region=region))
    assert {address.split("/")[2] for address in pages.values()} == {host}
    nameless = advice.links(replace(SCHEDULED, key=None, region=region))
    assert [address.split("/")[2] for address in nameless.values()] == [host]


@pytest.mark.parametrize(
    "key",
    [
        replace(KEY, key_id="x; rm -rf /"),
        replace(KEY, region="eu-west-1.evil.example/"),
        replace(KEY, account="1"),
        replace(KEY, partition="aws-evil"),
    ],
)
def test_nothing_forged_gets_into_links_or_commands(key: KeyRef) -> None:
    forged = replace(SCHEDULED, key=key, region=key.region, event_id="../../evil")
    assert advice.links(forged) == {}
    body = text(decided(Outcome.DONE, BOTH, forged), "prod")
    if key.partition == "aws":
        assert "$ aws" not in body


def test_escalation_breaks_the_dedup_but_not_the_group() -> None:
    low = replace(DISABLED, severity=Severity.HIGH)
    first, second = message(decided(finding=low), "prod"), message(decided(), "prod")
    assert first["group_key"] == second["group_key"]
    assert first["dedup_key"] != second["dedup_key"]
    elsewhere = replace(DISABLED, key=replace(KEY, account="444455556666"))
    assert group_key(elsewhere) != group_key(DISABLED)


def test_clean_leaves_no_way_to_forge_a_line() -> None:
    assert clean("a\nb\u202ec\x1b[31m\x00") == "a b?c?[31m?"
    assert clean("x" * 600) == "x" * 497 + "..."


ANY = st.one_of(
    st.text(max_size=40),
    st.text(alphabet='\x00\x1b\n\r\u202e\u200f\ud800"\\\U0001f511\u2028é{}%', max_size=30),
    st.sampled_from(["x" * 100_000, '"' * 100_000, "\U0001f511" * 100_000, "\u202e\n" * 50_000]),
)
TIMES = st.floats(allow_nan=True, allow_infinity=True)
FINDINGS = st.builds(
    Finding,
    detector=ANY,
    title=ANY,
    kind=st.sampled_from(Kind),
    severity=st.sampled_from(Severity),
    event_id=ANY,
    event_name=st.one_of(ANY, st.sampled_from(["DisableKey", "ScheduleKeyDeletion"])),
    event_time=TIMES,
    account=ANY,
    region=ANY,
    key=st.one_of(st.none(), st.just(KEY), st.builds(KeyRef, ANY, ANY, ANY, ANY)),
    caused=st.one_of(st.none(), st.sampled_from(KeyState)),
    actor=st.builds(Actor, *[ANY] * 8),
    error_code=ANY,
    details=st.dictionaries(ANY, ANY, max_size=30),
    aspect=st.sampled_from(Aspect),
    resource=st.one_of(ANY, ANY.map("arn:aws:sqs:eu-west-1:111122223333:{}".format)),
    tags=st.dictionaries(ANY, ANY, max_size=30),
    techniques=st.lists(ANY, max_size=3).map(tuple),
    advice=st.lists(ANY, max_size=3).map(tuple),
)
DECISIONS = st.builds(
    Decision,
    finding=FINDINGS,
    verdict=st.sampled_from(Verdict),
    reason=st.sampled_from(Reason),
    responders=st.just(("restore_key", "sns")),
    dry_run=st.booleans(),
    done=st.lists(
        st.builds(
            Action,
            responder=st.one_of(ANY, st.just("restore_key")),
            outcome=st.sampled_from(Outcome),
            detail=ANY,
            calls=st.lists(st.one_of(ANY, st.sampled_from(BOTH)), max_size=3).map(tuple),
            finished_at=TIMES,
        ),
        max_size=3,
    ).map(tuple),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(DECISIONS, ANY)
def test_total_bounded_and_printable_whatever_the_event_held(
    decision: Decision, environment: str
) -> None:
    line = subject(decision, environment)
    assert 0 < len(line) <= 99
    assert line.isascii()
    assert line.isprintable()
    body = text(decision, environment)
    assert len(body.encode()) < 100_000
    forbidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not [c for c in body if c != "\n" and unicodedata.category(c) in forbidden]
    encoded = json.dumps(message(decision, environment), allow_nan=False, ensure_ascii=False)
    assert len(encoded.encode()) < 128_000
    assert all(char.isprintable() for char in encoded)


QUEUE = "arn:aws:sqs:eu-west-1:111122223333:kms-monitor"
ABOUT_QUEUE = replace(
    SCHEDULED,
    detector="queue_changed",
    title="A queue that brings events was deleted",
    kind=Kind.NOTICE,
    event_name="DeleteQueue",
    key=None,
    resource=QUEUE,
    caused=None,
    details={},
    techniques=("T1562.008",),
    advice=("Make the queue again.", "Look for what was missed: kms-monitor replay lookup."),
    tags={"team": "payments"},
)


def told(finding: Finding, reason: Reason = Reason.NOTICE) -> Decision:
    return decided(finding=finding, verdict=Verdict.TELL, reason=reason)


@pytest.mark.parametrize(
    ("changes", "reason", "line"),
    [
        (
            {},
            Reason.NOTICE,
            "[CRITICAL] sqs kms-monitor: A queue that brings events was deleted (prod)",
        ),
        (
            {"kind": Kind.ATTEMPT, "error_code": "AccessDenied"},
            Reason.FAILED_ATTEMPT,
            "[CRITICAL] failed attempt on sqs kms-monitor: DeleteQueue AccessDenied (prod)",
        ),
        (
            {"kind": Kind.ATTEMPT, "error_code": "AccessDenied", "resource": ""},
            Reason.FAILED_ATTEMPT,
            "[CRITICAL] failed attempt: DeleteQueue AccessDenied (prod)",
        ),
        (
            {"resource": ""},
            Reason.NOTICE,
            "[CRITICAL] A queue that brings events was deleted (prod)",
        ),
        (
            {"resource": "not an\nARN " + "x" * 200, "title": "t"},
            Reason.NOTICE,
            "[CRITICAL] not an ARN " + "x" * 34 + "...: t (prod)",
        ),
        (
            {
                "kind": Kind.EVIDENCE,
                "key": KEY,
                "resource": "",
                "event_name": "Decrypt",
                "error_code": "DisabledException",
            },
            Reason.EVIDENCE,
            "[CRITICAL] KMS key 0a1b2c3d-111 could not be used: Decrypt DisabledException (prod)",
        ),
        (
            {"kind": Kind.RECOVERY, "key": KEY, "resource": "", "event_name": "EnableKey"},
            Reason.RECOVERY,
            "[CRITICAL] KMS key 0a1b2c3d-111 enabled (prod)",
        ),
        (
            {
                "kind": Kind.DAMAGE,
                "key": KEY,
                "resource": "",
                "event_name": "DisableKeyRotation",
                "title": "Rotation turned off",
                "aspect": Aspect.ROTATION,
            },
            Reason.NO_REPAIRER,
            "[CRITICAL] KMS key 0a1b2c3d-111: Rotation turned off: nobody here can undo it, NOT undone (prod)",
        ),
    ],
)
def test_subject_names_what_it_is_about(changes: dict[str, Any], reason: Reason, line: str) -> None:
    assert subject(told(replace(ABOUT_QUEUE, **changes), reason), "prod") == line


def test_what_is_no_key_is_told_of_as_what_it_is() -> None:
    body, members = text(told(ABOUT_QUEUE), "prod"), message(told(ABOUT_QUEUE), "prod")
    assert f"On      {QUEUE}\n" in body
    assert "Key  " not in body
    assert "ATT&CK  T1562.008\n" in body
    assert "  2. Make the queue again.\n  3. Look for what was missed" in body
    assert members["key"] is None
    assert members["resource"] == QUEUE
    assert members["techniques"] == ["T1562.008"]
    assert members["aspect"] == "state"
    assert members["class"] == "sight"
    assert members["tags"] == {"team": "payments"}
    steps = members["next_steps"]
    assert isinstance(steps, list)
    assert steps[1:] == list(ABOUT_QUEUE.advice)


def test_two_queues_are_two_troubles() -> None:
    assert group_key(ABOUT_QUEUE) != group_key(replace(ABOUT_QUEUE, resource=QUEUE + "-dlq"))


@pytest.mark.parametrize(
    ("aspect", "command"),
    [
        (Aspect.POLICY, "get-key-policy --key-id {} --region eu-west-1 --policy-name default"),
        (Aspect.ROTATION, "get-key-rotation-status --key-id {}"),
        (Aspect.GRANTS, "list-grants --key-id {}"),
        (Aspect.TAGS, "list-resource-tags --key-id {}"),
        (Aspect.ALIASES, "list-aliases --key-id {}"),
        (Aspect.REPLICATION, "describe-key --key-id {}"),
    ],
)
def test_damage_that_nobody_can_undo_comes_with_a_command_that_shows_it(
    aspect: Aspect, command: str
) -> None:
    found = replace(SCHEDULED, event_name="X", caused=None, aspect=aspect)
    body = text(told(found, Reason.NO_REPAIRER), "prod")
    assert f"$ aws kms {command.format(KEY.arn)}" in body
    assert advice.impact(told(found, Reason.NO_REPAIRER)) == advice.ASPECTS[aspect]


def test_a_use_that_failed_and_a_recovery_come_with_a_look_at_the_key() -> None:
    for kind, words in ((Kind.EVIDENCE, "fails now"), (Kind.RECOVERY, "may be over")):
        body = text(told(replace(SCHEDULED, kind=kind, caused=None)), "prod")
        assert words in body
        assert f"$ aws kms describe-key --key-id {KEY.arn}" in body
        assert "cancel-key-deletion" not in body


TERRAFORM = "APN/1.0 HashiCorp/1.0 Terraform/1.5.6 (+https://www.terraform.io) terraform-provider-aws/4.67.0"


@pytest.mark.parametrize(
    ("agent", "invoked_by", "tool"),
    [
        (TERRAFORM, "", "Terraform"),
        (f"OpenTofu/1.6.2 {TERRAFORM}", "", "OpenTofu"),
        (f"{TERRAFORM} cdktf/0.20", "", "CDK for Terraform"),
        (f"APN/1.0 Pulumi/1.0 PulumiAws/6.0 {TERRAFORM}", "", "Pulumi"),
        ("APN/1.0 Pulumi/1.0 PulumiAwsNative/1.12", "", "Pulumi"),
        ("crossplane-provider-aws/0.40 aws-sdk-go-v2/1.2", "", "Crossplane"),
        ("aws-cdk/2.100.0 aws-sdk-js/3.1", "", "CDK"),
        ("cloudformation.amazonaws.com", "", "CloudFormation"),
        ("aws-cli/2.31 md/awscrt", "", "AWS CLI"),
        ("Boto3/1.34.69 md/Botocore", "", "boto3"),
        ("Mozilla/5.0", "", ""),
        ("", "", ""),
        # AWS's own word comes first
        (TERRAFORM, "cloudformation.amazonaws.com", "CloudFormation"),
        (TERRAFORM, "lambda.amazonaws.com", "Terraform"),
    ],
)
def test_the_tool_is_named(agent: str, invoked_by: str, tool: str) -> None:
    actor = Actor(user_agent=agent, invoked_by=invoked_by)
    assert actor.tool == tool
    found = replace(SCHEDULED, actor=actor)
    members = message(decided(finding=found), "prod")["actor"]
    assert isinstance(members, dict)
    assert members["tool"] == tool
    body = text(decided(finding=found), "prod")
    if invoked_by.startswith("cloudformation"):
        assert ", through CloudFormation\n" in body
    else:
        assert (f", with {tool} (as it says itself)\n" in body) is bool(tool)


def test_machines_are_told_by_which_schema_to_read() -> None:
    assert message(decided(), "prod")["schema"] == "kms-monitor.notification/1"


OPEN = IncidentNote(
    "1a2b3c4d" * 4, Stage.ESCALATED, 1_763_976_843.0, Severity.CRITICAL, 2, 1_763_976_963.0
)
CLOSED = replace(OPEN, stage=Stage.CLOSED, closed_at=1_763_976_963.0, closed_by="bob\n$ rm -r /")


def test_the_incident_is_told_of() -> None:
    assert message(decided(), "prod")["incident"] is None
    assert "Incident" not in text(decided(), "prod")
    made = replace(decided(), incident=OPEN)
    found = message(made, "prod")
    assert found["incident"] == {
        "id": OPEN.id,
        "stage": "escalated",
        "severity": "critical",
        "opened_at": "2025-11-24T09:34:03Z",
        "findings": 2,
        "status": "open",
        "closed_at": None,
        "closed_by": "",
        "evidence": None,
        "contested": False,
        "actors": [],
    }
    line = "\nIncident 1a2b3c4d, opened 2 min ago, 2 findings; escalated, still open\n"
    assert line in text(made, "prod")


def test_all_of_one_incident_is_grouped() -> None:
    made = message(replace(decided(), incident=OPEN), "prod")
    assert (made["group_key"], made["dedup_key"]) == (OPEN.id, f"{OPEN.id}:critical")
    assert message(decided(), "prod")["group_key"] == group_key(SCHEDULED)


def test_who_closed_it_is_quoted_and_does_no_harm() -> None:
    made = replace(decided(), incident=CLOSED)
    found: Any = message(made, "prod")["incident"]
    assert (found["status"], found["closed_at"]) == ("closed", "2025-11-24T09:36:03Z")
    assert found["closed_by"] == "bob $ rm -r /"
    assert "; closed by bob $ rm -r /\n" in text(made, "prod")
    made = replace(made, incident=replace(CLOSED, closed_by="nobody knows", findings=1))
    assert "1 finding; closed, nobody knows by whom\n" in text(made, "prod")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (900_000, "10 d")],
)
def test_how_long_ago(seconds: float, words: str) -> None:
    assert ago(seconds) == words


FOUGHT = replace(
    OPEN, stage=Stage.CONTESTED, contested=True, actors=("arn:aws:iam::1:user/m", "x\n$ rm -r /")
)


def fought(budget: Budget = Budget.KEY, **changes: Any) -> Decision:
    held = Action("restore_key", Outcome.REFUSED, "for now")
    given: dict[str, Any] = {"incident": FOUGHT, "contested": True, "done": (held,)}
    return replace(decided(), budget=budget, **(given | changes))


def test_a_contested_key_is_told_of_with_who_fights_and_what_to_do() -> None:
    made = fought()
    found, body = message(made, "prod"), text(made, "prod")
    assert "CONTESTED, put back no more for now" in str(found["subject"])
    assert found["budget"] == "key"
    members = found["incident"]
    assert isinstance(members, dict)
    assert members["actors"] == ["arn:aws:iam::1:user/m", "x $ rm -r /"]
    assert "Taken away again and again by arn:aws:iam::1:user/m, x $ rm -r /" in body
    assert "$ kms-monitor incidents --resume 1a2b3c4d --reason TEXT" in body


def test_a_deletion_that_was_cancelled_all_the_same_is_said() -> None:
    made = fought(done=(Action("restore_key", Outcome.REFUSED, "x", ("CancelKeyDeletion",)),))
    assert "deletion cancelled, CONTESTED" in subject(made, "prod")


def test_too_many_repairs_are_not_called_a_fight() -> None:
    made = fought(Budget.ACCOUNT, incident=OPEN)
    assert "TOO MANY REPAIRS" in subject(made, "prod")
    assert "End the fight" not in text(made, "prod")


def test_no_command_is_made_of_an_id_of_another_form() -> None:
    odd = fought(incident=replace(FOUGHT, id="$(reboot)"))
    assert "--resume ID " in text(odd, "prod")


def test_what_is_done_about_the_caller_is_no_repair() -> None:
    contained = Action("contain", Outcome.WOULD, "would contain", about_caller=True)
    made = replace(decided(), done=(Action("restore_key", Outcome.ALREADY), contained))
    assert message(made, "prod")["outcome"] == "already"
