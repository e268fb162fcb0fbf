"""Message bodies as EventBridge puts them into a queue (aws-facts 1.3 and 4.1; all names made up)."""

import json
from typing import Any

KEY = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001"
ROLE = "arn:aws:iam::111122223333:role/path/ops-admin"


def body(event_name: str, event_source: str = "kms.amazonaws.com") -> str:
    """One EventBridge event that carries a record of `event_name`, 1.7 KB."""
    record: dict[str, Any] = {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": "AROAEXAMPLEEXAMPLE111:alice",
            "arn": "arn:aws:sts::111122223333:assumed-role/ops-admin/alice",
            "accountId": "111122223333",
            "accessKeyId": "ASIAEXAMPLEEXAMPLE11",
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role",
                    "principalId": "AROAEXAMPLEEXAMPLE111",
                    "arn": ROLE,
                    "accountId": "111122223333",
                    "userName": "ops-admin",
                },
                "attributes": {"creationDate": "2026-11-20T09:00:00Z", "mfaAuthenticated": "false"},
            },
        },
        "eventTime": "2026-11-20T09:14:03Z",
        "eventSource": event_source,
        "eventName": event_name,
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.x",
        "requestParameters": {"keyId": KEY.rpartition("/")[2]},
        "responseElements": {"keyId": KEY},
        "requestID": "11111111-aaaa-4aaa-8aaa-000000000001",
        "eventID": "22222222-bbbb-4bbb-8bbb-000000000001",
        "readOnly": False,
        "resources": [{"accountId": "111122223333", "type": "AWS::KMS::Key", "ARN": KEY}],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_256_GCM_SHA384",
            "clientProvidedHostHeader": "kms.eu-west-1.amazonaws.com",
        },
        "sessionCredentialFromConsole": "true",
    }
    return json.dumps(
        {
            "version": "0",
            "id": "33333333-cccc-4ccc-8ccc-000000000002",
            "detail-type": "AWS API Call via CloudTrail",
            "source": f"aws.{event_source.partition('.')[0]}",
            "account": "111122223333",
            "time": "2026-11-20T09:14:03Z",
            "region": "eu-west-1",
            "resources": [],
            "detail": record,
        }
    )


def wrapped(message: str) -> str:
    """A message as SNS puts it into a queue, without raw delivery (aws-facts 4.2)."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "44444444-dddd-4ddd-8ddd-000000000001",
            "TopicArn": "arn:aws:sns:eu-west-1:111122223333:kms-events",
            "Message": message,
            "Timestamp": "2026-11-20T09:14:05.123Z",
            "SignatureVersion": "1",
            "Signature": "QkFTRTY0" * 43,
            "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-00.pem",
            "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        }
    )
