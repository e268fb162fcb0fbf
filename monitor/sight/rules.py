"""Which events an EventBridge rule still lets through, by its pattern. Pure.

An event is made up for each call in the forms that it has on EventBridge: with all that CloudTrail
writes, with nothing but what every record has, and denied. A pattern that lets one form through
and another not asks who called or how, and so hides somebody's call: the call counts as lost.

Rests on the EventBridge user guide, "AWS service events delivered via AWS CloudTrail", on the
CloudTrail user guide, "Record contents", and on aws-facts 1.1 and 4.1.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from monitor.event import KMS
from monitor.sight.event_pattern import matches
from monitor.sight.kms_calls import READS, SERVICE_EVENTS

API_CALL = "AWS API Call via CloudTrail"
SERVICE_EVENT = "AWS Service Event via CloudTrail"
READING = ("BatchGet", "Describe", "Get", "Head", "List", "Lookup", "Query", "Scan", "Search")
"""How the names of calls begin that only read."""
Call = tuple[str, str]
Pattern = Mapping[str, Any]


def bridge_source(event_source: str) -> str:
    """What EventBridge calls the service that CloudTrail calls `kms.amazonaws.com`: `aws.kms`."""
    return event_source if native(event_source) else f"aws.{event_source.partition('.')[0]}"


def native(event_source: str) -> bool:
    """Whether it is a source of EventBridge's own, whose events need no trail."""
    return event_source.startswith("aws.")


def only_reads(call: Call) -> bool:
    """Whether CloudTrail counts a call as read-only, which a rule that is just ENABLED never gets.

    To use a key is to read. CloudTrail tells of other services only in the record itself; the names
    of their calls tell it as well.
    """
    source, name = call
    if source == KMS and name in READS:
        return True
    return not native(source) and name.startswith(READING)


def lost(
    pattern: Pattern,
    calls: Iterable[Call],
    before: Pattern | None = None,
    *,
    failed: bool = False,
    account: str = "",
    region: str = "",
) -> list[Call]:
    """The calls whose events the pattern does not let through, or not in every form.

    Given the pattern of `before`, only those that it let through. With `failed` the attempts at
    the calls are meant, not the changes; `account` and `region` say where the rule is.
    """
    missing: list[Call] = []
    for call in calls:
        events = samples(call, account=account, region=region, failed=failed)
        if not all(matches(pattern, one) for one in events) and (
            before is None or all(matches(before, one) for one in events)
        ):
            missing.append(call)
    return missing


def samples(
    call: Call, *, account: str = "", region: str = "", failed: bool = False, code: str = ""
) -> list[dict[str, Any]]:
    """Events of a call as they reach a rule: changes, or with `failed` attempts that were denied.

    What a service does by itself is never denied, nor are native events: of those there is none.
    """
    source, name = call
    if native(source):
        return [] if failed else [envelope(source, name, account, region, {})]
    if source == KMS and name in SERVICE_EVENTS:
        service = record(call, account, region) | {
            "eventType": "AwsServiceEvent",
            "userIdentity": {"accountId": account, "invokedBy": "AWS Internal"},
        }
        bare = envelope(bridge_source(source), SERVICE_EVENT, account, region, service)
        return [] if failed else [bare]
    bare = record(call, account, region)
    full = bare | FULL
    if failed:
        refused = {"errorCode": code or "AccessDenied", "errorMessage": "not authorized"}
        bare, full = bare | refused, full | refused | {"requestParameters": None}
    return [
        envelope(bridge_source(source), API_CALL, account, region, detail)
        for detail in (bare, full)
    ]


FULL: dict[str, Any] = {
    "userIdentity": {
        "type": "AssumedRole",
        "principalId": "AROAEXAMPLE:session",
        "arn": "arn:aws:sts::111122223333:assumed-role/role/session",
        "accountId": "111122223333",
        "accessKeyId": "ASIAEXAMPLE",
        "sessionContext": {"attributes": {"mfaAuthenticated": "false"}},
    },
    "sourceIPAddress": "203.0.113.7",
    "userAgent": "aws-cli/2",
    "requestParameters": {"name": "name"},
    "responseElements": {"name": "name"},
    "resources": [{"ARN": "arn:aws:x", "accountId": "111122223333", "type": "AWS::X"}],
    "requestID": "11111111-aaaa-4aaa-8aaa-000000000001",
    "sessionCredentialFromConsole": "true",
}
"""What a record may have and may lack."""


def record(call: Call, account: str, region: str) -> dict[str, Any]:
    """What every record has of a call."""
    return {
        "eventVersion": "1.11",
        "userIdentity": {"type": "AWSService", "invokedBy": "service.amazonaws.com"},
        "eventTime": "2026-11-20T09:14:03Z",
        "eventSource": call[0],
        "eventName": call[1],
        "awsRegion": region,
        "requestParameters": None,
        "responseElements": None,
        "eventID": "22222222-bbbb-4bbb-8bbb-000000000001",
        "readOnly": only_reads(call),
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
        "eventCategory": "Management",
    }


def envelope(
    source: str, detail_type: str, account: str, region: str, detail: dict[str, Any]
) -> dict[str, Any]:
    """An EventBridge event around it."""
    return {
        "version": "0",
        "id": "33333333-cccc-4ccc-8ccc-000000000001",
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": "2026-11-20T09:14:03Z",
        "region": region,
        "resources": [],
        "detail": detail,
    }
