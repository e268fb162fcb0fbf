"""CloudTrail records and the EventBridge envelopes around them; pure.

The fields are those of eventVersion 1.11 (CloudTrail user guide, "Record contents" and
"userIdentity element"). `tlsDetails` is absent: the simulator speaks plain HTTP.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from monitor.simulator.words import Caller, Refusal, Reply, ServiceEvent

EVENT_VERSION = "1.11"
_MAX_USER_AGENT = 1024
_MAX_ERROR_TEXT = 1024

_MAPS = frozenset({"Attributes", "Tags", "InputPathsMap", "attributes", "tags"})
"""Members that are maps: their keys are the user's own words and keep their case."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call as the endpoint saw it."""

    source: str
    """`kms.amazonaws.com`."""
    name: str
    account: str
    region: str
    caller: Caller
    request_id: str
    happened_at: float
    """Epoch seconds."""
    host: str = ""


def call_record(
    call: Call,
    outcome: Reply | Refusal,
    *,
    identity: Mapping[str, Any],
    event_id: str,
    recipient: str = "",
    shared_event_id: str = "",
) -> dict[str, Any]:
    """Write down one call, allowed or refused, as its `recipient` (default: the caller) sees it."""
    record: dict[str, Any] = {
        "eventVersion": EVENT_VERSION,
        "userIdentity": dict(identity),
        "eventTime": iso(call.happened_at),
        "eventSource": call.source,
        "eventName": call.name,
        "awsRegion": call.region,
        "sourceIPAddress": call.caller.source_ip,
        "userAgent": call.caller.user_agent[:_MAX_USER_AGENT],
    }
    if isinstance(outcome, Refusal):
        record["errorCode"] = outcome.trail_code
        record["errorMessage"] = outcome.message[:_MAX_ERROR_TEXT]
        record["requestParameters"] = outcome.request_parameters
        record["responseElements"] = None
    else:
        record["requestParameters"] = outcome.request_parameters
        record["responseElements"] = outcome.response_elements
        if outcome.additional_event_data:
            record["additionalEventData"] = outcome.additional_event_data
    record |= {"requestID": call.request_id, "eventID": event_id, "readOnly": outcome.read_only}
    if outcome.resources:
        record["resources"] = resource_entries(outcome.resources)
    record |= {
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": recipient or call.account,
        "eventCategory": "Management",
    }
    if shared_event_id:
        record["sharedEventID"] = shared_event_id
    return record


def service_record(event: ServiceEvent, *, event_id: str) -> dict[str, Any]:
    """Write down what KMS did by itself; its userIdentity has no `type`, and it has no requestID."""
    record: dict[str, Any] = {
        "eventVersion": EVENT_VERSION,
        "userIdentity": {"accountId": event.account, "invokedBy": "AWS Internal"},
        "eventTime": iso(event.happened_at),
        "eventSource": "kms.amazonaws.com",
        "eventName": event.event_name,
        "awsRegion": event.region,
        "sourceIPAddress": "AWS Internal",
        "userAgent": "AWS Internal",
        "requestParameters": None,
        "responseElements": event.response_elements,
        "eventID": event_id,
        "readOnly": False,
        "resources": resource_entries((event.key_arn,)),
        "eventType": "AwsServiceEvent",
        "managementEvent": True,
        "recipientAccountId": event.account,
        "eventCategory": "Management",
    }
    if event.service_event_details is not None:
        record["serviceEventDetails"] = event.service_event_details
    return record


def envelope(record: Mapping[str, Any], *, envelope_id: str) -> dict[str, Any]:
    """Put a record into the event that EventBridge sends: `aws.kms` for `kms.amazonaws.com`."""
    kind = "API Call" if record["eventType"] == "AwsApiCall" else "Service Event"
    return {
        "version": "0",
        "id": envelope_id,
        "detail-type": f"AWS {kind} via CloudTrail",
        "source": "aws." + record["eventSource"].partition(".")[0],
        "account": record["recipientAccountId"],
        "time": record["eventTime"],
        "region": record["awsRegion"],
        "resources": [],
        "detail": dict(record),
    }


_NATIVE = {
    "DeleteKey": "KMS CMK Deletion",
    "DeleteExpiredKeyMaterial": "KMS Imported Key Material Expiration",
    "RotateKey": "KMS CMK Rotation",
}
_NATIVE_MEMBERS = {
    "keyMaterialId": "key-material-id",
    "keyOrigin": "key-origin",
    "rotationType": "rotation-type",
    "previousKeyMaterialId": "previous-key-material-id",
    "currentKeyMaterialId": "current-key-material-id",
}


def native_event(event: ServiceEvent, *, envelope_id: str) -> dict[str, Any] | None:
    """Build the event that KMS itself sends to EventBridge, without any trail, if it sends one."""
    if event.event_name not in _NATIVE:
        return None
    details = event.service_event_details or {}
    detail = {"key-id": event.key_arn.rpartition("/")[2]}
    detail |= {_NATIVE_MEMBERS[name]: details[name] for name in _NATIVE_MEMBERS if name in details}
    return {
        "version": "0",
        "id": envelope_id,
        "detail-type": _NATIVE[event.event_name],
        "source": "aws.kms",
        "account": event.account,
        "time": iso(event.happened_at),
        "region": event.region,
        "resources": [event.key_arn],
        "detail": detail,
    }


def user_identity(caller: Caller, *, created_at: float = 0.0) -> dict[str, Any]:
    """Build `userIdentity`; `created_at` is when a session's credentials were handed out."""
    if caller.service:
        return {"type": "AWSService", "invokedBy": caller.service}
    if caller.arn.endswith(":root"):
        kind: dict[str, Any] = {"type": "Root", "principalId": caller.account}
    elif caller.role_arn:
        kind = {"type": "AssumedRole", "principalId": principal_id(caller)}
    else:
        kind = {"type": "IAMUser", "principalId": principal_id(caller)}
    identity = kind | {
        "arn": caller.arn,
        "accountId": caller.account,
        "accessKeyId": caller.access_key_id,
    }
    if kind["type"] == "IAMUser":
        identity["userName"] = caller.user
    session: dict[str, Any] = {}
    if caller.role_arn:
        session["sessionIssuer"] = {
            "type": "Role",
            "principalId": unique_id("AROA", caller.role_arn),
            "arn": caller.role_arn,
            "accountId": caller.account,
            "userName": caller.role_arn.rpartition("/")[2],
        }
    if created_at:
        attributes = {"creationDate": iso(created_at), "mfaAuthenticated": "false"}
        identity["sessionContext"] = session | {"attributes": attributes}
    return identity


def foreign_identity(caller: Caller) -> dict[str, Any]:
    """Show a caller as the owner of a resource in another account sees it: no name, no ARN."""
    return {"type": "AWSAccount", "principalId": principal_id(caller), "accountId": caller.account}


def principal_id(caller: Caller) -> str:
    """`AIDA...` of a user, `AROA...:SESSION` of a role session; the same every time."""
    if caller.role_arn:
        return f"{unique_id('AROA', caller.role_arn)}:{caller.session}"
    return caller.account if caller.arn.endswith(":root") else unique_id("AIDA", caller.arn)


def unique_id(prefix: str, arn: str) -> str:
    """IAM's unique id of a user or role, here derived from its ARN."""
    digest = hashlib.sha256(arn.encode()).hexdigest().upper()
    return prefix + digest[:17]


def resource_entries(arns: tuple[str, ...]) -> list[dict[str, str]]:
    """Build `resources`; an alias, too, has the type AWS::KMS::Key."""
    types = {"kms": "AWS::KMS::Key", "iam": "AWS::IAM::Role"}
    return [
        {"accountId": arn.split(":")[4], "type": types[arn.split(":")[2]], "ARN": arn}
        for arn in arns
    ]


def lower_camel(value: Any) -> Any:
    """Spell the members of a request or answer as CloudTrail does: only the first letter lower."""
    if isinstance(value, dict):
        return {
            name[:1].lower() + name[1:]: (
                dict(member) if name in _MAPS and isinstance(member, dict) else lower_camel(member)
            )
            for name, member in value.items()
        }
    if isinstance(value, list | tuple):
        return [lower_camel(one) for one in value]
    if isinstance(value, datetime):
        return trail_date(value.timestamp())
    if isinstance(value, bytes):
        return "HIDDEN_DUE_TO_SECURITY_REASONS"
    return value


def iso(seconds: float) -> str:
    """`2026-11-20T09:14:03Z`: UTC, one second resolution."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def trail_date(seconds: float) -> str:
    """`Nov 27, 2026, 9:14:03 AM`: how dates stand in requestParameters and responseElements."""
    moment = datetime.fromtimestamp(seconds, UTC)
    hour = moment.hour % 12 or 12
    return f"{moment:%b} {moment.day}, {moment.year}, {hour}:{moment:%M:%S %p}"
