"""The endpoint as clients see it: routing, identities, refusals, accounts."""

import json
import time
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from monitor.simulator.server import Simulator
from tests.unit.simulator.site import Site

OTHER = "444455556666"


async def post(site: Site, **kwargs: Any) -> tuple[int, Any, str]:
    async with aiohttp.ClientSession() as http, http.post(site.sim.endpoint_url, **kwargs) as got:
        return got.status, got.headers, await got.text()


def signed(service: str, who: str = "admin", region: str = "eu-west-1") -> dict[str, str]:
    scope = f"{who}/20261120/{region}/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=x, Signature=0"}


async def test_a_call_becomes_a_record_and_a_message(site: Site) -> None:
    arn = await site.new_key()
    kms = await site.client("kms", "mallory")
    await kms.disable_key(KeyId=arn)
    assert site.sim.kms.state_of(arn) == "Disabled"
    (event,) = await site.arrived()
    assert event["detail"] == site.sim.records[-1]
    assert event["source"] == "aws.kms"
    assert event["account"] == "111122223333"
    assert event["detail"]["userIdentity"]["userName"] == "mallory"
    assert event["detail"]["responseElements"] == {"keyId": arn}


async def test_every_answer_has_a_request_id_and_a_date(site: Site) -> None:
    target = {"X-Amz-Target": "TrentService.DescribeKey"}
    status, headers, body = await post(
        site,
        headers=signed("kms") | target | {"X-Forwarded-For": "203.0.113.7, 10.0.0.1"},
        json={"KeyId": "none"},
    )
    assert status == 400
    assert json.loads(body)["__type"] == headers["x-amzn-ErrorType"] == "NotFoundException"
    assert headers["Date"]
    record = site.sim.records[-1]
    assert record["requestID"] == headers["x-amzn-RequestId"]
    assert record["sourceIPAddress"] == "203.0.113.7"
    assert record["errorCode"] == "NotFoundException"


@pytest.mark.parametrize(
    ("request_", "status", "text"),
    [
        ({}, 403, "MissingAuthenticationToken"),
        ({"headers": {"Authorization": "Bearer x"}}, 403, "IncompleteSignature"),
        ({"headers": signed("ec2")}, 400, "no service 'ec2'"),
        ({"headers": signed("logs") | {"X-Amz-Target": "Logs.X"}}, 400, '"UnknownOperation'),
        ({"headers": signed("kms", "ASIANONE")}, 400, "security token"),
        (
            {"headers": signed("kms") | {"X-Amz-Target": "TrentService.X"}, "data": b"{"},
            400,
            '"SerializationException"',
        ),
        (
            {"headers": signed("kms") | {"X-Amz-Target": "TrentService.X"}, "data": b"[]"},
            400,
            '"SerializationException"',
        ),
        (
            {"headers": signed("sts"), "data": {"Action": "GetFederationToken"}},
            400,
            "InvalidAction",
        ),
        ({"headers": signed("sts"), "data": {"Action": "AssumeRole"}}, 400, "roleArn"),
        ({"headers": signed("sts"), "data": {"No": "x"}}, 400, "MissingAction"),
        (
            {
                "headers": signed("kms", region="ap-south-1") | {"X-Amz-Target": "TrentService.X"},
                "json": {},
            },
            400,
            "ap-south-1 is not open",
        ),
        (
            {"headers": signed("sqs") | {"X-Amz-Target": "AmazonSQS.Nonsense"}, "json": {}},
            400,
            "no such operation",
        ),
        (
            {"headers": signed("cloudtrail") | {"X-Amz-Target": "C.Nonsense"}, "json": {}},
            400,
            "UnknownOperationException",
        ),
        (
            {"headers": signed("events") | {"X-Amz-Target": "AWSEvents.DescribeRule"}, "json": {}},
            400,
            "Value null at 'name'",
        ),
    ],
)
async def test_what_cannot_be_answered_is_an_aws_error(
    site: Site, request_: dict[str, Any], status: int, text: str
) -> None:
    got, headers, body = await post(site, **request_)
    assert (got, text in body) == (status, True), body
    assert headers["x-amzn-RequestId"]


async def test_a_failure_of_the_simulator_is_an_internal_failure_without_a_traceback(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.sim.kms, "call", None)
    headers = signed("kms") | {"X-Amz-Target": "TrentService.CreateKey"}
    status, _, body = await post(site, headers=headers, json={})
    assert status == 500
    assert json.loads(body)["__type"] == "InternalFailure"
    assert "Traceback" not in body


async def test_a_denied_call_arrives_with_its_error(site: Site) -> None:
    site.sim.set_knob("deny", ("mallory:kms:DisableKey",))
    arn = await site.new_key()
    kms = await site.client("kms", "mallory")
    with pytest.raises(ClientError, match=r"AccessDeniedException.*explicit deny"):
        await kms.disable_key(KeyId=arn)
    assert site.sim.kms.state_of(arn) == "Enabled"
    (event,) = await site.arrived()
    assert event["detail"]["errorCode"] == "AccessDenied"
    assert event["detail"]["requestParameters"] is None
    assert event["detail"]["userIdentity"]["userName"] == "mallory"


@pytest.mark.parametrize(
    ("service", "method", "arguments", "code"),
    [
        ("cloudtrail", "stop_logging", {"Name": "kms-monitor"}, "AccessDeniedException"),
        ("events", "disable_rule", {"Name": "kms-monitor"}, "AccessDeniedException"),
        ("sqs", "purge_queue", {"QueueUrl": "QUEUE"}, "AccessDenied"),
        ("sns", "list_topics", {}, "AuthorizationError"),
        ("s3", "list_buckets", {}, "AccessDenied"),
        ("sts", "get_session_token", {}, "AccessDenied"),
    ],
)
async def test_denied_calls_of_other_services(
    site: Site, service: str, method: str, arguments: dict[str, str], code: str
) -> None:
    site.sim.set_knob("deny", (f"mallory:{service}:*",))
    client = await site.client(service, "mallory")
    url = site.sim.queue_url
    with pytest.raises(ClientError, match=code):
        await getattr(client, method)(**{k: v.replace("QUEUE", url) for k, v in arguments.items()})
    assert site.sim.records[-1]["errorCode"] == "AccessDenied"
    assert site.sim.records[-1]["eventSource"] == f"{service}.amazonaws.com"


async def test_another_account_has_its_own_keys_and_queues(site: Site) -> None:
    sts = await site.client("sts")
    answer = await sts.assume_role(
        RoleArn=f"arn:aws:iam::{OTHER}:role/path/ops", RoleSessionName="me"
    )
    credentials = answer["Credentials"]
    asked, seen = site.sim.records[-2:]
    assert asked["sharedEventID"] == seen["sharedEventID"]
    assert [one["recipientAccountId"] for one in (asked, seen)] == ["111122223333", OTHER]
    assert seen["userIdentity"]["type"] == "AWSAccount"
    assert "secretAccessKey" not in asked["responseElements"]["credentials"]

    arn = await site.new_key(credentials=credentials)
    assert arn.split(":")[4] == OTHER
    kms = await site.client("kms", credentials=credentials)
    await kms.disable_key(KeyId=arn)
    (event,) = await site.arrived()
    assert event["account"] == OTHER
    assert event["detail"]["recipientAccountId"] == OTHER
    assert event["detail"]["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] == (
        f"arn:aws:iam::{OTHER}:role/path/ops"
    )
    sqs = await site.client("sqs", credentials=credentials)
    assert (await sqs.list_queues()).get("QueueUrls") is None
    whoami = await (await site.client("sts", credentials=credentials)).get_caller_identity()
    assert whoami["Arn"] == f"arn:aws:sts::{OTHER}:assumed-role/ops/me"


async def test_borrowed_services_are_recorded_but_not_their_data_calls(site: Site) -> None:
    sqs = await site.client("sqs")
    made = await sqs.create_queue(QueueName="other", Attributes={"VisibilityTimeout": "5"})
    assert made["QueueUrl"].startswith(site.sim.endpoint_url)
    await sqs.send_message(QueueUrl=made["QueueUrl"], MessageBody="text")
    with pytest.raises(ClientError, match="NonExistentQueue"):
        await sqs.purge_queue(QueueUrl=made["QueueUrl"] + "x")
    created, purged = site.sim.records
    assert created["requestParameters"] == {
        "queueName": "other",
        "attributes": {"VisibilityTimeout": "5"},
    }
    assert created["responseElements"] == {"queueUrl": made["QueueUrl"]}
    assert purged["errorCode"] == "AWS.SimpleQueueService.NonExistentQueue"
    site.sim.set_knob("move_tasks", False)
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        await sqs.start_message_move_task(SourceArn="arn:aws:sqs:eu-west-1:111122223333:x")


async def test_the_topic_delivers_to_its_queue(site: Site) -> None:
    sns = await site.client("sns")
    await sns.publish(TopicArn=site.sim.topic_arn, Subject="s", Message="m")
    (notification,) = await site.arrived(site.sim.topic_queue_url)
    assert notification["Message"] == "m"
    assert notification["TopicArn"] == site.sim.topic_arn


async def test_a_long_poll_wakes_when_something_arrives(site: Site) -> None:
    sqs = await site.client("sqs")
    started = time.monotonic()
    empty = await sqs.receive_message(QueueUrl=site.sim.topic_queue_url, WaitTimeSeconds=0)
    assert not empty.get("Messages")
    await sqs.send_message(QueueUrl=site.sim.topic_queue_url, MessageBody="text", DelaySeconds=1)
    answer = await sqs.receive_message(QueueUrl=site.sim.topic_queue_url, WaitTimeSeconds=20)
    assert answer["Messages"][0]["Body"] == "text"
    assert 0.9 < time.monotonic() - started < 1.9


async def test_a_taken_port_is_an_os_error(site: Site) -> None:
    with pytest.raises(OSError, match=r"(?i)address already in use"):
        async with Simulator(port=site.sim.port):
            pass


async def test_only_one_simulator_is_open_in_a_process(site: Site) -> None:
    with pytest.raises(RuntimeError, match="open in this process already"):
        async with Simulator():
            pass
    assert (await (await site.client("sqs")).list_queues())["QueueUrls"]


async def test_what_is_received_five_times_goes_to_the_dead_letter_queue(site: Site) -> None:
    sqs = await site.client("sqs")
    await sqs.send_message(QueueUrl=site.sim.queue_url, MessageBody="poison")
    for count in range(1, 6):
        answer = await sqs.receive_message(
            QueueUrl=site.sim.queue_url,
            VisibilityTimeout=0,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        (message,) = answer["Messages"]
        assert message["Attributes"]["ApproximateReceiveCount"] == str(count)
    assert not (await sqs.receive_message(QueueUrl=site.sim.queue_url)).get("Messages")
    dead = await sqs.receive_message(QueueUrl=site.sim.dlq_url)
    assert dead["Messages"][0]["Body"] == "poison"


async def test_buckets_and_objects(site: Site) -> None:
    s3 = await site.client("s3")
    where = {"LocationConstraint": "eu-west-1"}
    await s3.create_bucket(Bucket="logs", CreateBucketConfiguration=where)
    await s3.put_object(Bucket="logs", Key="a b/c%2Fd", Body=b"12345")
    assert (await s3.head_object(Bucket="logs", Key="a b/c%2Fd"))["ContentLength"] == 5
    await s3.put_bucket_lifecycle_configuration(
        Bucket="logs",
        LifecycleConfiguration={
            "Rules": [
                {"ID": "x", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}},
            ]
        },
    )
    assert [record["eventName"] for record in site.sim.records] == [
        "CreateBucket",
        "PutBucketLifecycle",
    ]
    assert site.sim.records[-1]["requestParameters"]["bucketName"] == "logs"


async def test_a_multi_region_call_leaves_a_record_in_both_regions(site: Site) -> None:
    kms = await site.client("kms")
    made = await kms.create_key(MultiRegion=True)
    arn = made["KeyMetadata"]["Arn"]
    await kms.replicate_key(KeyId=arn, ReplicaRegion="us-east-1")
    replica = arn.replace("eu-west-1", "us-east-1")
    asked, echo = site.sim.records[-2:]
    assert (asked["eventName"], asked["awsRegion"]) == ("ReplicateKey", "eu-west-1")
    assert (echo["eventName"], echo["awsRegion"]) == ("CreateKey", "us-east-1")
    assert echo["resources"][0]["ARN"] == replica
    assert echo["userIdentity"] == {"type": "AWSService", "invokedBy": "kms.amazonaws.com"}
    site.sim.tick()
    await kms.update_primary_region(KeyId=arn, PrimaryRegion="us-east-1")
    asked, echo = site.sim.records[-2:]
    assert (asked["awsRegion"], echo["awsRegion"]) == ("eu-west-1", "us-east-1")
    assert echo["requestParameters"]["keyId"] == replica


async def test_attributes_that_are_not_named_stay(site: Site) -> None:
    sqs = await site.client("sqs")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    given = {"Policy": json.dumps(policy)}
    url = (await sqs.create_queue(QueueName="other", Attributes=given))["QueueUrl"]

    async def policy_after(**attributes: str) -> Any:
        await sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
        return json.loads(answer.get("Attributes", {}).get("Policy", "null"))

    assert await policy_after(VisibilityTimeout="7") == policy
    assert await policy_after(Policy="") is None
    assert await policy_after(VisibilityTimeout="8") is None
