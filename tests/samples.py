"""Synthetic events and small doubles that many tests share."""

import asyncio
import json
from copy import deepcopy
from typing import Any

import msgspec

from monitor.approval import Approval
from monitor.baseline import Baseline, Origin, Register
from monitor.decision import Decision
from monitor.detector import About
from monitor.event import Event
from monitor.finding import Actor, Aspect, Finding
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.register import STATE
from monitor.testing import fakes

ACCOUNT, OTHER_ACCOUNT, REGION = "111122223333", "444455556666", "eu-west-1"
KEY_ID = "0a1b2c3d-0000-4000-8000-000000000001"
ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"
KEY = KeyRef(ACCOUNT, REGION, KEY_ID)
AT = "2026-11-20T09:14:03Z"
EPOCH = 1795166043.0
"""AT as epoch seconds."""
NOBODY = About(
    description="A double.",
    severity="any",
    techniques=(),
    false_positives=(),
    advice=(),
    references=(),
)
"""For detectors of tests, which have nothing to say about themselves."""
BOB = Actor(type="IAMUser", arn=f"arn:aws:iam::{ACCOUNT}:user/bob", account=ACCOUNT)
KMS = "kms.amazonaws.com"

ALICE_IDENTITY: dict[str, Any] = {
    "type": "AssumedRole",
    "principalId": "AROAEXAMPLEEXAMPLE111:alice",
    "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/ops-admin/alice",
    "accountId": ACCOUNT,
    "accessKeyId": "ASIAEXAMPLEEXAMPLE11",
    "sessionContext": {
        "sessionIssuer": {
            "type": "Role",
            "principalId": "AROAEXAMPLEEXAMPLE111",
            "arn": f"arn:aws:iam::{ACCOUNT}:role/path/ops-admin",
            "accountId": ACCOUNT,
            "userName": "ops-admin",
        },
        "attributes": {"creationDate": "2026-11-20T09:00:00Z", "mfaAuthenticated": "true"},
    },
}


def record(**changes: Any) -> dict[str, Any]:
    """A DisableKey record as CloudTrail writes it, with `changes`; `...` takes a field out."""
    whole = {
        "eventVersion": "1.11",
        "userIdentity": deepcopy(ALICE_IDENTITY),  # whoever gets it may change it
        "eventTime": AT,
        "eventSource": KMS,
        "eventName": "DisableKey",
        "awsRegion": REGION,
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.x",
        "requestParameters": {"keyId": KEY_ID},
        "responseElements": {"keyId": ARN},
        "requestID": "11111111-aaaa-4aaa-8aaa-000000000001",
        "eventID": "22222222-bbbb-4bbb-8bbb-000000000001",
        "readOnly": False,
        "resources": [{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": ARN}],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
        "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_256_GCM_SHA384"},
        "sessionCredentialFromConsole": "true",
    }
    return {name: value for name, value in (whole | changes).items() if value is not ...}


def envelope(detail: Any = None, **changes: Any) -> dict[str, Any]:
    """An EventBridge event around a record."""
    whole: dict[str, Any] = {
        "version": "0",
        "id": "33333333-cccc-4ccc-8ccc-000000000002",
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.kms",
        "account": ACCOUNT,
        "time": AT,
        "region": REGION,
        "resources": [],
        "detail": record() if detail is None else detail,
    }
    return {name: value for name, value in (whole | changes).items() if value is not ...}


def body(**changes: Any) -> str:
    return json.dumps(envelope(record(**changes)))


def event(**changes: Any) -> Event:
    """The event that a decoder makes of `record(**changes)`."""
    return msgspec.json.decode(json.dumps(record(**changes)), type=Event)


def finding(**changes: Any) -> Finding:
    """Bob disabled the key, with `changes`."""
    return fakes.finding(**({"actor": BOB} | changes))


def decision(found: Finding | None = None, **changes: Any) -> Decision:
    """It is to be repaired, with `changes`."""
    return fakes.decision(found or finding(), **changes)


def approval(**changes: Any) -> Approval:
    """Bob may disable the key, made a minute before AT, for an hour."""
    given: dict[str, Any] = {
        "id": "0a1b2c3d4e5f",
        "key": KEY,
        "action": "DisableKey",
        "actor": BOB.arn,
        "ticket": "CHG-1",
        "approver": "alice",
        "made_at": EPOCH - 60,
        "until": EPOCH + 3540,
    }
    return Approval(**(given | changes))


def snapshot(state: KeyState, **changes: Any) -> KeySnapshot:
    given: dict[str, Any] = {"key": KEY, "state": state, "as_of": EPOCH}
    return KeySnapshot(**(given | changes))


def baseline(
    state: KeyState,
    as_of: float = EPOCH,
    origin: Origin = Origin.ACCEPTED,
    damaged_at: float = 0.0,
    key: KeyRef = KEY,
) -> Baseline:
    """A baseline that knows the state, and all there is to know beside it: nothing."""
    register = Register(state.value, as_of, origin, damaged_at)
    return Baseline(key, {STATE: register}, frozenset(Aspect), 1)


class LoopClock:
    """The event loop's own time, which `looptime` makes virtual; it starts at `start`."""

    def __init__(self, start: float = EPOCH + 3) -> None:
        self.start = start

    def now(self) -> float:
        return self.start + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()
