"""Every attack on our own eyes that the simulator can play is noticed, as it records it."""

import json
from pathlib import Path

from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION
from tests.journey.scene import Scene, denied, night, rule_name


async def test_trails_are_blinded(simulator: Simulator, tmp_path: Path) -> None:
    async with night(simulator, tmp_path, "kms", "cloudtrail", keys=1) as scene:
        trails, attack = scene.mallory.cloudtrail, scene.attack
        arn = scene.key()
        everything = {"IncludeManagementEvents": True, "ReadWriteType": "All"}
        not_kms = everything | {"ExcludeManagementEventSources": ["kms.amazonaws.com"]}
        advanced = [
            {"Field": "eventCategory", "Equals": ["Management"]},
            {"Field": "eventSource", "NotEquals": ["kms.amazonaws.com"]},
        ]
        await attack(
            trails.put_event_selectors(TrailName="kms-monitor", EventSelectors=[not_kms]),
            trail_blinded="critical",
        )
        await attack(
            trails.put_event_selectors(TrailName="kms-monitor", EventSelectors=[everything]),
            trail_blinded="info",
        )
        await attack(
            trails.put_event_selectors(
                TrailName="kms-monitor", AdvancedEventSelectors=[{"FieldSelectors": advanced}]
            ),
            trail_blinded="critical",
        )
        await attack(
            trails.put_event_selectors(
                TrailName="kms-monitor", EventSelectors=[everything | {"ReadWriteType": "ReadOnly"}]
            ),
            trail_blinded="critical",
        )
        await trails.put_event_selectors(TrailName="kms-monitor", EventSelectors=[everything])
        await attack(
            trails.update_trail(Name="kms-monitor", S3BucketName="mine"), trail_changed="high"
        )
        await attack(
            trails.put_insight_selectors(TrailName="kms-monitor", InsightSelectors=[]),
            trail_blinded="low",
        )
        await attack(trails.stop_logging(Name="kms-monitor"), trail_stopped="critical")
        await attack(trails.start_logging(Name="kms-monitor"), trail_stopped="info")
        await attack(scene.mallory.kms.disable_key(KeyId=arn), blinding_then_damage="critical")
        simulator.set_knob("deny", ("mallory:cloudtrail:*",))
        await attack(denied(trails.stop_logging(Name="kms-monitor")), trail_stopped="medium")
        simulator.set_knob("deny", ())
        await attack(trails.delete_trail(Name="kms-monitor"), trail_stopped="critical")


async def test_rules_are_silenced(simulator: Simulator, tmp_path: Path) -> None:
    async with night(simulator, tmp_path, "events") as scene:
        events, attack = scene.mallory.events, scene.attack
        name = rule_name("kms.amazonaws.com DisableKey")
        narrow = {"source": ["aws.kms"], "detail": {"eventName": ["EnableKey"]}}
        await attack(
            events.put_rule(Name=name, EventPattern=json.dumps(narrow)),
            rule_narrowed="high",  # not critical: there are other rules
        )
        await attack(events.disable_rule(Name=name), rule_disabled="critical")
        await attack(events.enable_rule(Name=name), rule_disabled="info")
        await attack(
            events.put_rule(Name=name, EventPattern=json.dumps(narrow), State="DISABLED"),
            rule_disabled="critical",
        )
        stranger = f"arn:aws:sqs:{REGION}:999988887777:theirs"
        await attack(
            events.put_targets(Rule=name, Targets=[{"Id": "x", "Arn": stranger}]),
            rule_targets_changed="high",
        )
        await attack(
            events.remove_targets(Rule=name, Ids=["queue", "x"]), rule_targets_changed="critical"
        )
        await attack(events.delete_rule(Name=name), rule_disabled="critical")


async def test_the_rule_that_tells_of_rules_is_silenced(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with night(simulator, tmp_path, "events") as scene:
        name = rule_name("events.amazonaws.com DisableRule")
        await scene.attack(scene.mallory.events.disable_rule(Name=name), rule_disabled="critical")


async def test_queues_are_emptied(simulator: Simulator, tmp_path: Path) -> None:
    async with night(simulator, tmp_path, "sqs") as scene:
        sqs, attack = scene.mallory.sqs, scene.attack
        url = simulator.queue_url
        anybody = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:kms-monitor",
        }
        text = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
        dead, mine = (
            f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}" for name in ("kms-monitor-dlq", "mine")
        )
        await sqs.create_queue(QueueName="mine")
        await attack(
            sqs.start_message_move_task(SourceArn=dead, DestinationArn=mine), queue_changed="high"
        )
        for name, value, severity in (
            ("Policy", text, "high"),
            ("RedrivePolicy", "", "medium"),
            ("KmsMasterKeyId", "alias/theirs", "high"),
            ("MessageRetentionPeriod", "60", "high"),
            ("Policy", "", "critical"),
        ):
            await attack(
                sqs.set_queue_attributes(QueueUrl=url, Attributes={name: value}),
                queue_changed=severity,
            )
        await attack(
            sqs.add_permission(
                QueueUrl=url,
                Label="x",
                AWSAccountIds=["999988887777"],
                Actions=["ReceiveMessage"],
            ),
            queue_changed="high",
        )
        await attack(sqs.remove_permission(QueueUrl=url, Label="x"), queue_changed="high")
        await attack(sqs.purge_queue(QueueUrl=url), queue_emptied="critical")
        await attack(sqs.delete_queue(QueueUrl=simulator.dlq_url), queue_emptied="critical")


async def test_people_are_no_longer_told(simulator: Simulator, tmp_path: Path) -> None:
    async with night(simulator, tmp_path, "sns") as scene:
        sns, attack = scene.mallory.sns, scene.attack
        topic = simulator.topic_arn
        anybody = {
            "Sid": "x",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "sns:*",
            "Resource": topic,
        }
        text = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
        await attack(
            sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=text),
            topic_changed="high",
        )
        await attack(
            sns.add_permission(
                TopicArn=topic,
                Label="y",
                AWSAccountId=["999988887777"],
                ActionName=["Subscribe"],
            ),
            topic_changed="high",
        )
        await attack(
            sns.subscribe(
                TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:999988887777:q"
            ),
            topic_changed="high",
        )
        found = await scene.admin.sns.list_subscriptions_by_topic(TopicArn=topic)
        ours = found["Subscriptions"][0]["SubscriptionArn"]
        await attack(
            sns.set_subscription_attributes(
                SubscriptionArn=ours,
                AttributeName="FilterPolicy",
                AttributeValue='{"severity": ["none"]}',
            ),
            topic_changed="high",
        )
        await attack(sns.unsubscribe(SubscriptionArn=ours), topic_changed="high")
        await attack(sns.delete_topic(TopicArn=topic), topic_changed="critical")


async def test_rights_are_taken(simulator: Simulator, tmp_path: Path) -> None:
    bucket = f"kms-monitor-trail-{ACCOUNT}"

    async def prepare(scene: Scene) -> None:
        await scene.admin.iam.create_user(UserName="kms-monitor")
        place = {"LocationConstraint": REGION}
        await scene.admin.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)

    async with night(simulator, tmp_path, "iam", "s3", prepare=prepare) as scene:
        iam, s3, attack = scene.mallory.iam, scene.mallory.s3, scene.attack
        nothing = {"Effect": "Deny", "Action": "kms:*", "Resource": "*"}
        await attack(
            iam.put_user_policy(
                UserName="kms-monitor",
                PolicyName="no",
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [nothing]}),
            ),
            our_rights_changed="critical",
        )
        await attack(iam.create_access_key(UserName="kms-monitor"), our_rights_changed="high")
        rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
        await attack(
            s3.put_bucket_lifecycle_configuration(
                Bucket=bucket, LifecycleConfiguration={"Rules": [rule]}
            ),
            log_bucket_changed="high",
        )
        theirs = {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": f"arn:aws:kms:{REGION}:999988887777:key/1",
        }
        await attack(
            s3.put_bucket_encryption(
                Bucket=bucket,
                ServerSideEncryptionConfiguration={
                    "Rules": [{"ApplyServerSideEncryptionByDefault": theirs}]
                },
            ),
            bucket_encryption_changed="high",
        )
        await attack(s3.delete_bucket(Bucket=bucket), log_bucket_changed="critical")
