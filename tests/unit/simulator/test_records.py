"""CloudTrail records and envelopes, letter by letter."""

from datetime import UTC, datetime

from monitor.simulator import records
from monitor.simulator.records import Call
from monitor.simulator.words import Caller, Refusal, Reply, ServiceEvent

ACCOUNT = "111122223333"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/0a1b2c3d-0000-4000-8000-000000000001"
AT = datetime(2026, 11, 20, 9, 14, 3, 900000, UTC).timestamp()
MALLORY = Caller(
    account=ACCOUNT,
    arn=f"arn:aws:iam::{ACCOUNT}:user/mallory",
    user="mallory",
    access_key_id="mallory",
    source_ip="203.0.113.7",
    user_agent="aws-cli/2.x",
)
ROLE = Caller(
    account=ACCOUNT,
    arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/ops-admin/alice",
    role_arn=f"arn:aws:iam::{ACCOUNT}:role/path/ops-admin",
    session="alice",
    access_key_id="ASIAEXAMPLE",
)
CALL = Call(
    source="kms.amazonaws.com",
    name="DisableKey",
    account=ACCOUNT,
    region="eu-west-1",
    caller=MALLORY,
    request_id="request",
    happened_at=AT,
)


def test_an_allowed_call() -> None:
    reply = Reply(
        request_parameters={"keyId": "k"}, response_elements={"keyId": KEY}, resources=(KEY,)
    )
    identity = records.user_identity(MALLORY)
    assert records.call_record(CALL, reply, identity=identity, event_id="event") == {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": records.unique_id("AIDA", MALLORY.arn),
            "arn": MALLORY.arn,
            "accountId": ACCOUNT,
            "accessKeyId": "mallory",
            "userName": "mallory",
        },
        "eventTime": "2026-11-20T09:14:03Z",
        "eventSource": "kms.amazonaws.com",
        "eventName": "DisableKey",
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.x",
        "requestParameters": {"keyId": "k"},
        "responseElements": {"keyId": KEY},
        "requestID": "request",
        "eventID": "event",
        "readOnly": False,
        "resources": [{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": KEY}],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    }


def test_a_denied_call_has_cloudtrails_code_and_neither_parameters_nor_resources() -> None:
    refusal = Refusal("AccessDeniedException", "User: ...", trail_code="AccessDenied")
    record = records.call_record(CALL, refusal, identity={}, event_id="event")
    assert record["errorCode"] == "AccessDenied"
    assert record["errorMessage"] == "User: ..."
    assert record["requestParameters"] is None
    assert record["responseElements"] is None
    assert "resources" not in record


def test_a_role_session_keeps_the_path_in_its_issuer_only() -> None:
    identity = records.user_identity(ROLE, created_at=AT)
    role_id = records.unique_id("AROA", ROLE.role_arn)
    assert identity == {
        "type": "AssumedRole",
        "principalId": f"{role_id}:alice",
        "arn": ROLE.arn,
        "accountId": ACCOUNT,
        "accessKeyId": "ASIAEXAMPLE",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": role_id,
                "arn": ROLE.role_arn,
                "accountId": ACCOUNT,
                "userName": "ops-admin",
            },
            "attributes": {"creationDate": "2026-11-20T09:14:03Z", "mfaAuthenticated": "false"},
        },
    }
    assert records.foreign_identity(ROLE) == {
        "type": "AWSAccount",
        "principalId": f"{role_id}:alice",
        "accountId": ACCOUNT,
    }


def test_root_and_services() -> None:
    root = Caller(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:root", access_key_id="root")
    assert records.user_identity(root) == {
        "type": "Root",
        "principalId": ACCOUNT,
        "arn": root.arn,
        "accountId": ACCOUNT,
        "accessKeyId": "root",
    }
    service = Caller(account=ACCOUNT, arn="", service="rds.amazonaws.com")
    assert records.user_identity(service) == {
        "type": "AWSService",
        "invokedBy": "rds.amazonaws.com",
    }


EXPIRED = ServiceEvent(
    event_name="DeleteExpiredKeyMaterial",
    account=ACCOUNT,
    region="eu-west-1",
    key_arn=KEY,
    happened_at=AT,
    service_event_details={"keyId": "0a1b", "keyMaterialId": "aaaa"},
)


def test_a_service_event_has_no_type_and_no_request_id() -> None:
    record = records.service_record(EXPIRED, event_id="event")
    assert record["userIdentity"] == {"accountId": ACCOUNT, "invokedBy": "AWS Internal"}
    assert record["eventType"] == "AwsServiceEvent"
    assert record["serviceEventDetails"] == {"keyId": "0a1b", "keyMaterialId": "aaaa"}
    assert "requestID" not in record


def test_envelopes() -> None:
    record = records.service_record(EXPIRED, event_id="event")
    assert records.envelope(record, envelope_id="id") == {
        "version": "0",
        "id": "id",
        "detail-type": "AWS Service Event via CloudTrail",
        "source": "aws.kms",
        "account": ACCOUNT,
        "time": "2026-11-20T09:14:03Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": record,
    }
    native = records.native_event(EXPIRED, envelope_id="id")
    assert native is not None
    assert native["detail-type"] == "KMS Imported Key Material Expiration"
    assert native["resources"] == [KEY]
    assert native["detail"] == {"key-id": KEY.rpartition("/")[2], "key-material-id": "aaaa"}


def test_spelling() -> None:
    request = {
        "TrailName": "main",
        "Attributes": {"RedrivePolicy": "{}"},
        "EventSelectors": [{"ReadWriteType": "All"}],
        "Token": b"secret",
    }
    assert records.lower_camel(request) == {
        "trailName": "main",
        "attributes": {"RedrivePolicy": "{}"},
        "eventSelectors": [{"readWriteType": "All"}],
        "token": "HIDDEN_DUE_TO_SECURITY_REASONS",
    }
    assert records.trail_date(AT) == "Nov 20, 2026, 9:14:03 AM"
