"""The patterns that are written match exactly what the detectors look at."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import plugins
from monitor.envelope import open_body
from monitor.event import Wanted
from monitor.sight import event_pattern
from monitor.sight.kms_calls import READS, WRITES
from monitor.sight.pattern_writer import rule_patterns, write_patterns
from monitor.sight.rules import samples

KMS, LAMBDA, CONFIG = "kms.amazonaws.com", "lambda.amazonaws.com", "config.amazonaws.com"
NATIVE = ("KMS CMK Deletion", "KMS CMK Rotation")
CODES = ("AccessDenied", "KMSInvalidStateException", "DisabledException")
NAMES = (*WRITES, *READS, "StopConfigurationRecorder")
CALLS = [
    *((source, name) for source in (KMS, LAMBDA, CONFIG) for name in NAMES),
    *(("aws.kms", name) for name in NATIVE),
]
NOTICES = ("ConfigurationItemChangeNotification", "ComplianceChangeNotification")


def universe() -> list[dict[str, Any]]:
    """Every call in all its forms, VPC endpoints' copies of it, and what AWS Config says."""
    events = [
        event | {"account": "111122223333", "region": "eu-west-1"}
        for call in CALLS
        for event in (
            *samples(call),
            *(one for code in CODES for one in samples(call, failed=True, code=code)),
        )
    ]
    copies = [
        event
        | {
            "detail-type": "AWS Network Activity Event via CloudTrail",
            "detail": event["detail"] | {"eventCategory": "NetworkActivity"},
        }
        for event in events
        if "eventSource" in event["detail"]
    ]
    notices = [
        {
            "version": "0",
            "detail-type": "Config Configuration Item Change",
            "source": "aws.config",
            "detail": {
                "messageType": notice,
                "configurationItem": {"ARN": "arn:x", "configurationItemCaptureTime": AT},
            },
        }
        for notice in NOTICES
    ]
    return events + copies + notices


AT = "2026-11-20T09:14:03Z"
UNIVERSE = universe()
wanted_ones = st.builds(
    Wanted,
    st.frozensets(
        st.sampled_from([*CALLS, *((CONFIG, notice) for notice in NOTICES)]), max_size=40
    ),
    st.frozensets(
        st.tuples(
            st.sampled_from([KMS, LAMBDA]),
            st.sampled_from([*READS, *WRITES]),
            st.sampled_from(CODES),
        ),
        max_size=12,
    ),
)


@settings(deadline=None, max_examples=60)
@given(wanted=wanted_ones)
def test_they_match_what_is_wanted_and_nothing_else(wanted: Wanted) -> None:
    written = [event_pattern.parse(text) for text in write_patterns(wanted)]
    for event in UNIVERSE:
        taken = bool(open_body(json.dumps(event), wanted).events)
        matching = sum(event_pattern.matches(pattern, event) for pattern in written)
        assert matching == taken, event  # once: no event is delivered twice


def test_each_is_short_enough_and_as_full_as_it_can_be() -> None:
    calls = frozenset((f"service{n}.amazonaws.com", f"DoSomething{n}") for n in range(150))
    written = write_patterns(Wanted(calls))
    assert all(len(text) <= 2048 for text in written)
    assert sum(map(len, written)) / len(written) > 1500
    names = [name for text in written for name in text.split('"') if name.startswith("DoSome")]
    assert sorted(names) == sorted(name for _, name in calls)


def test_nothing_wanted_is_no_pattern() -> None:
    assert write_patterns(Wanted()) == []


def test_what_only_reads_stands_by_itself() -> None:
    wanted = Wanted(
        frozenset({(KMS, "DisableKey"), ("aws.kms", "KMS CMK Deletion")}),
        frozenset({(KMS, "Decrypt", "DisabledException")}),
    )
    change, native, use = rule_patterns(wanted)
    assert json.loads(change.text) == {
        "source": ["aws.kms"],
        "detail-type": [{"anything-but": "AWS Network Activity Event via CloudTrail"}],
        "detail": {"eventSource": [KMS], "eventName": ["DisableKey"]},
    }
    assert json.loads(native.text) == {"source": ["aws.kms"], "detail-type": ["KMS CMK Deletion"]}
    assert json.loads(use.text)["detail"]["errorCode"] == ["DisabledException"]
    assert (change.reads, native.reads, use.reads) == ((), (), (f"{KMS} Decrypt",))


def test_kms_comes_first() -> None:
    first = write_patterns(
        Wanted(frozenset({("cloudtrail.amazonaws.com", "StopLogging"), (KMS, "PutKeyPolicy")}))
    )[0]
    assert first.index("PutKeyPolicy") < first.index("StopLogging")


def test_the_patterns_of_all_built_in_detectors_are_patterns() -> None:
    kinds = [plugins.load("detectors", name) for name in plugins.built_in()]
    wanted = Wanted(
        frozenset(call for kind in kinds for call in kind.events if call[0] != "kms-monitor"),
        frozenset(failure for kind in kinds for failure in kind.failures),
    )
    written = [event_pattern.parse(text) for text in write_patterns(wanted)]
    for call in wanted.calls:
        for event in samples(call):
            assert any(event_pattern.matches(pattern, event) for pattern in written) or (
                call[0] == CONFIG
            )


RULES = "events.amazonaws.com"


def test_who_silences_a_rule_is_told_of_by_another() -> None:
    silencing = [(RULES, "DisableRule"), (RULES, "DeleteRule")]
    for more in ([], [(KMS, name) for name in WRITES], [(f"s{n}.x", "A" * 60) for n in range(40)]):
        written = [
            event_pattern.parse(text)
            for text in write_patterns(Wanted(frozenset(silencing + more)))
        ]
        for call in silencing:
            for event in samples(call):
                assert sum(event_pattern.matches(one, event) for one in written) == 2
