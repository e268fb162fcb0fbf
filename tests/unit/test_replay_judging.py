"""What the daemon would have done, in order of event time, each event once."""

import json
from typing import Any

import msgspec
import pytest

from monitor.decision import Reason, Verdict
from monitor.detection import Detection
from monitor.detector import Detector, NoOptions
from monitor.detectors.key_deletion_scheduled import DeletionOptions, KeyDeletionScheduled
from monitor.detectors.key_disabled import KeyDisabled
from monitor.detectors.key_restored import KeyEnabled
from monitor.maintenance import Maintenance
from monitor.metrics import Metrics
from monitor.policy import Mode, Rules
from monitor.replay.judging import EventClock, Judged, judge
from monitor.replay.model import WHY, Keys
from monitor.replay.table import json_line
from monitor.response_rules import ResponseRule
from monitor.suppression import Suppression
from tests.samples import decision, finding
from tests.unit.replay_records import KEY, record

RULES = Rules(
    Mode.ENFORCE,
    frozenset({("111122223333", "eu-west-1")}),
    repairers=("restore_key",),
    tellers=("sns",),
    approved_actors=("arn:aws:iam::111122223333:user/admin",),
)


class Breaks(KeyDisabled):
    def inspect(self, event: Any) -> Any:
        raise RuntimeError("defect")


def judged(*records: dict[str, Any], rules: Rules | None = RULES, broken: bool = False) -> Judged:
    detectors: list[Detector] = [
        Breaks(NoOptions()) if broken else KeyDisabled(NoOptions()),
        KeyDeletionScheduled(DeletionOptions()),
        KeyEnabled(NoOptions()),
    ]
    given = [("x.json", json.dumps(one).encode()) for one in records]
    return judge(given, Detection(detectors, Metrics()), rules, RULES)


def would(*records: dict[str, Any], **changes: Any) -> list[str]:
    rules = msgspec.structs.replace(RULES, **changes)
    return [row.would for row in judged(*records, rules=rules).rows]


def test_every_attack_is_answered_because_the_one_before_was_undone() -> None:
    assert would(
        record("ScheduleKeyDeletion", "10:00:00"),
        record("DisableKey", "09:00:00"),
        record("DisableKey", "09:30:00"),
    ) == [
        "would call EnableKey",
        "would call EnableKey",
        "would call CancelKeyDeletion, EnableKey",
    ]


def test_an_approved_state_is_what_is_restored() -> None:
    assert would(
        record("DisableKey", "09:00:00", user="admin"),
        record("DisableKey", "09:10:00"),
        record("ScheduleKeyDeletion", "10:00:00"),
        record("EnableKey", "11:00:00"),
        record("DisableKey", "12:00:00"),
    ) == [
        "would do nothing: approved",
        "would do nothing: Disabled is right for this key",
        "would call CancelKeyDeletion",
        "would do nothing: a change that is accepted as right",
        "would call EnableKey",
    ]


def test_an_approved_deletion_that_was_cancelled_leaves_the_key_disabled() -> None:
    assert would(
        record("ScheduleKeyDeletion", "09:00:00", user="admin"),
        record("ScheduleKeyDeletion", "10:00:00"),
    ) == ["would do nothing: approved", "would call CancelKeyDeletion"]


def test_what_is_only_told() -> None:
    denied = record(errorCode="AccessDenied")
    assert would(denied) == ["would tell only: failed attempt"]
    nameless = record(resources=None)
    assert would(nameless) == ["would tell only: the record does not name the key"]
    foreign = record(recipientAccountId="444455556666")
    assert would(foreign) == [
        "would tell only: the record's account or Region is not the key's (444455556666 eu-west-1)"
    ]
    assert would(record(), repairers=()) == [
        "would tell only: the settings name no responder that repairs"
    ]


def test_mode_observe_says_what_enforce_would_do() -> None:
    expected = "would tell only: mode observe; enforce would call EnableKey"
    assert would(record(), mode=Mode.OBSERVE) == [expected]
    assert would(record(), modes={"key_disabled": Mode.OBSERVE}) == [expected]


def test_what_we_see_by_is_put_back_by_its_own_baseline() -> None:
    aspect = {"sight": True, "key": None, "resource": TRAIL, "caused": None}
    keys = Keys(EventClock(), repairs=True)
    given = decision(finding(**aspect), verdict=Verdict.REPAIR)
    assert keys.would(given) == "would put it back as its baseline says"
    assert keys.would(msgspec.structs.replace(given, dry_run=True)) == (
        "would tell only: mode observe; enforce would put it back as its baseline says"
    )


TRAIL = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/main"


def test_what_is_not_ours() -> None:
    elsewhere = frozenset({("444455556666", "eu-west-1")})
    assert would(record(), places=elsewhere) == [
        "would do nothing: the account is not in the settings"
    ]
    own = frozenset({"arn:aws:iam::111122223333:user/kms-monitor"})
    assert would(record("EnableKey", user="kms-monitor"), own_arns=own) == [
        "would do nothing: the daemon's own call"
    ]


def test_without_rules_every_place_is_allowed() -> None:
    (row,) = judged(record(), rules=None).rows
    assert (row.decision, row.reason) == ("repair", "enforce")


def test_an_event_counts_once() -> None:
    first = record()
    again = judged(first, first, record("EnableKey"))
    assert (len(again.rows), again.duplicates) == (2, 1)


def test_of_a_call_across_accounts_the_key_owners_record_counts() -> None:
    theirs = record(eventID="a", sharedEventID="s", recipientAccountId="444455556666")
    ours = record(eventID="b", sharedEventID="s")
    found = judged(theirs, ours)
    assert [row.event_id for row in found.rows] == ["b"]
    assert found.duplicates == 1


@pytest.mark.filterwarnings("ignore")
def test_a_detector_that_breaks_is_counted() -> None:
    found = judged(record(), record("ScheduleKeyDeletion"), broken=True)
    assert (found.broken, len(found.rows)) == (1, 1)


def test_only_more_than_info_counts_as_found() -> None:
    assert [row.counts for row in judged(record("EnableKey"), record()).rows] == [True, False]


def test_the_line_of_json() -> None:
    hostile = "203.0.113.7 \x1b[2J \u202e \U0001f511"
    (row,) = judged(record(sourceIPAddress=hostile)).rows
    assert json_line(row) == (
        '{"detector": "key_disabled", "severity": "high", "event_id": "DisableKey 09:14:03",'
        ' "event_name": "DisableKey", "event_time": "2026-11-20T09:14:03Z",'
        ' "account": "111122223333", "region": "eu-west-1",'
        f' "key_arn": "{KEY}", "actor": "arn:aws:iam::111122223333:user/mallory",'
        ' "decision": "repair", "reason": "enforce", "source": "x.json",'
        ' "title": "KMS key disabled", "kind": "damage", "would": "would call EnableKey",'
        ' "error_code": "",'
        ' "source_ip": "203.0.113.7 \\u001b[2J \\u202e \\ud83d\\udd11",'
        ' "tool": "", "suppressed": "", "rule": "", "window": "", "tiers": []}'
    )


def test_what_is_suppressed_is_shown_with_the_reason_and_repaired() -> None:
    silence = Suppression(reason="a drill", until="never", detectors=["key_*"])
    rules = msgspec.structs.replace(RULES, suppressions=(silence,))
    damage, failed = judged(
        record("DisableKey", "09:00:00"),
        record("DisableKey", "10:00:00", errorCode="AccessDenied"),
        rules=rules,
    ).rows
    said = "; nobody would be told, suppressed: a drill"
    assert damage.would == f"would call EnableKey{said}"
    assert failed.would == f"would tell only: failed attempt{said}"
    assert (damage.suppressed, failed.suppressed) == ("a drill", "a drill")
    # a key that has to be put back is something found, whoever wants to hear of it
    assert (damage.counts, failed.counts) == (True, False)


# Whether the kill switch was on, no history tells.
REPAIRED = {*Mode, Reason.WRITES_STOPPED}


@pytest.mark.parametrize("reason", [one for one in Reason if one.value not in REPAIRED])
def test_every_reason_has_words(reason: Reason) -> None:
    assert WHY[reason]


def test_replay_judges_by_rules_and_windows_and_says_which() -> None:
    rules = msgspec.structs.replace(
        RULES,
        response=(ResponseRule(name="watched", keys=[KEY], mode="observe"),),
        maintenance=(
            Maintenance(
                name="morning",
                cron="0 9 * * *",
                time_zone="UTC",
                minutes=30,
                actors=["arn:aws:iam::*:user/mallory"],
            ),
        ),
    )
    late, meant, hurried = judged(
        record("DisableKey", "08:14:00"),
        record("DisableKey", "09:14:00"),
        record(
            "ScheduleKeyDeletion",
            "09:20:00",
            requestParameters={"keyId": KEY, "pendingWindowInDays": 7},
        ),
        rules=rules,
    ).rows
    by = "; by rule watched"
    assert late.would == f"would tell only: mode observe; enforce would call EnableKey{by}"
    assert meant.would == f"would do nothing: approved{by}; meant, in maintenance window morning"
    assert (meant.rule, meant.window, meant.decision) == ("watched", "morning", "accept")
    # nobody's maintenance is in such a hurry
    assert (
        hurried.would == f"would tell only: mode observe; enforce would call CancelKeyDeletion{by}"
    )
    assert (hurried.decision, hurried.window) == ("repair", "")
