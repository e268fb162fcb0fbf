"""Events, findings and services to try plugins with. Nothing here needs AWS or a network."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import structlog

from monitor.decision import Decision, Reason, Verdict
from monitor.event import Event
from monitor.finding import Actor, Finding, Kind, Severity
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.knowledge import Knowledge, Watched
from monitor.metrics import Metrics
from monitor.plugins import Services
from monitor.stores.memory import MemoryStore

if TYPE_CHECKING:
    from monitor.aws import Aws

ACCOUNT: Final = "111122223333"
REGION: Final = "eu-west-1"
KEY: Final = KeyRef(ACCOUNT, REGION, "0a1b2c3d-0000-4000-8000-000000000001")
AT: Final = 1_795_166_043.0
"""2026-11-20T09:14:03Z."""


def record(**changes: Any) -> dict[str, Any]:
    """A DisableKey record as CloudTrail writes it, with `changes`; `...` takes a member out."""
    whole = {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "arn": f"arn:aws:iam::{ACCOUNT}:user/mallory",
            "accountId": ACCOUNT,
            "userName": "mallory",
        },
        "eventTime": "2026-11-20T09:14:03Z",
        "eventSource": "kms.amazonaws.com",
        "eventName": "DisableKey",
        "awsRegion": REGION,
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.31",
        "requestParameters": {"keyId": KEY.key_id},
        "responseElements": {"keyId": KEY.arn},
        "eventID": "22222222-bbbb-4bbb-8bbb-000000000001",
        "readOnly": False,
        "resources": [{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": KEY.arn}],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    }
    return {name: value for name, value in (whole | changes).items() if value is not ...}


def event(**changes: Any) -> Event:
    """The event that the daemon makes of `record(**changes)`."""
    return msgspec.json.decode(json.dumps(record(**changes)), type=Event)


def knowledge(
    *,
    keys: Iterable[KeySnapshot] = (),
    watched: Watched | None = None,
    accounts: Iterable[str] = (),
) -> Knowledge:
    """What a detector may know: how keys should be, what is ours, further accounts of ours."""
    made = Knowledge(watched, keys)
    made.accounts = frozenset({ACCOUNT, *accounts})
    return made


def finding(**changes: Any) -> Finding:
    """A key was disabled, with `changes`."""
    given: dict[str, Any] = {
        "detector": "key_disabled",
        "title": "KMS key disabled",
        "kind": Kind.DAMAGE,
        "severity": Severity.HIGH,
        "event_id": "22222222-bbbb-4bbb-8bbb-000000000001",
        "event_name": "DisableKey",
        "event_time": AT,
        "account": ACCOUNT,
        "region": REGION,
        "key": KEY,
        "caused": KeyState.DISABLED,
        "actor": Actor(type="IAMUser", arn=f"arn:aws:iam::{ACCOUNT}:user/mallory", account=ACCOUNT),
    }
    return Finding(**(given | changes))


def decision(found: Finding | None = None, **changes: Any) -> Decision:
    """It is to be repaired, and then told, with `changes`."""
    given: dict[str, Any] = {
        "finding": found or finding(),
        "verdict": Verdict.REPAIR,
        "reason": Reason.ENFORCE,
        "responders": ("restore_key",),
        "received_at": AT + 3,
    }
    return Decision(**(given | changes))


class HandClock:
    """A clock that moves only by hand."""

    def __init__(self, at: float = AT) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def services(aws: object = None) -> Services:
    """What a responder gets, with a store in memory and a clock that stands; `aws` is your fake."""
    clock = HandClock()
    return Services(
        aws=cast("Aws", aws),
        clock=clock,
        store=MemoryStore(clock),
        metrics=Metrics(),
        log=structlog.get_logger("responder"),
        environment="test",
    )
