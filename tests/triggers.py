"""Events as Lambda hands them over, around the same body: one for each trigger.

Shapes: AWS Lambda developer guide, the sample events of each service.
"""

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

TOPIC = "arn:aws:sns:eu-west-1:111122223333:kms-events"
BUCKET = "org-trail-bucket"


def packed(content: bytes) -> str:
    return base64.b64encode(content).decode()


def sqs(*bodies: str, group: str = "") -> dict[str, Any]:
    """`group`: of a FIFO queue."""
    name = "kms-events.fifo" if group else "kms-events"
    return {
        "Records": [
            {
                "messageId": f"message-{number}",
                "receiptHandle": f"handle-{number}",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1795166043000",
                    "SenderId": "AIDASENDER",
                    "ApproximateFirstReceiveTimestamp": "1795166043001",
                }
                | ({"MessageGroupId": group} if group else {}),
                "messageAttributes": {},
                "md5OfBody": "0",
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:eu-west-1:111122223333:{name}",
                "awsRegion": "eu-west-1",
            }
            for number, body in enumerate(bodies)
        ]
    }


def sns(*bodies: str) -> dict[str, Any]:
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": f"{TOPIC}:55555555-eeee-4eee-8eee-000000000001",
                "Sns": {
                    "Type": "Notification",
                    "MessageId": f"44444444-dddd-4ddd-8ddd-{number:012}",
                    "TopicArn": TOPIC,
                    "Subject": None,
                    "Message": body,
                    "Timestamp": "2026-11-20T09:14:05.123Z",
                    "SignatureVersion": "1",
                    "Signature": "BASE64==",
                    "SigningCertUrl": "https://sns.eu-west-1.amazonaws.com/a.pem",
                    "UnsubscribeUrl": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
                    "MessageAttributes": {},
                },
            }
            for number, body in enumerate(bodies)
        ]
    }


def s3(*keys: str) -> dict[str, Any]:
    """What is in the objects is up to whoever puts them there."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "eu-west-1",
                "eventTime": "2026-11-20T09:19:30.000Z",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 4096}},
            }
            for key in keys
        ]
    }


def log_data(*bodies: str, kind: str = "DATA_MESSAGE") -> bytes:
    """What a subscription of a log group sends, packed."""
    events = [
        {"id": f"{number:056}", "timestamp": 1795166043000, "message": body}
        for number, body in enumerate(bodies)
    ]
    whole = {
        "messageType": kind,
        "owner": "111122223333",
        "logGroup": "cloudtrail",
        "logStream": "111122223333_CloudTrail_eu-west-1",
        "subscriptionFilters": ["kms"],
        "logEvents": events,
    }
    return gzip.compress(json.dumps(whole).encode())


def logs(*bodies: str) -> dict[str, Any]:
    return {"awslogs": {"data": packed(log_data(*bodies))}}


def kinesis(*contents: bytes) -> dict[str, Any]:
    return {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "1",
                    "sequenceNumber": f"4959{number:052}",
                    "data": packed(content),
                    "approximateArrivalTimestamp": 1795166043.5,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"shardId-000000000006:4959{number:052}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": "arn:aws:iam::111122223333:role/lambda",
                "awsRegion": "eu-west-1",
                "eventSourceARN": "arn:aws:kinesis:eu-west-1:111122223333:stream/kms",
            }
            for number, content in enumerate(contents)
        ]
    }


def kinesis_events(*bodies: str) -> dict[str, Any]:
    return kinesis(*(body.encode() for body in bodies))


def kinesis_logs(*bodies: str) -> dict[str, Any]:
    return kinesis(*(log_data(body) for body in bodies))


BATCHES: dict[str, Callable[..., dict[str, Any]]] = {
    "sqs": sqs,
    "sns": sns,
    "logs": logs,
    "kinesis": kinesis_events,
    "kinesis with logs": kinesis_logs,
}
"""Those that carry bodies."""
