"""Every attack that the simulator can play is noticed, from the record that the simulator writes."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, lead_to
from tests.journey.scene import DAEMON, OUTSIDER, Scene, night, rule_name

ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def statement(principal: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": "kms:*", "Resource": "*"} | more


def policy(*more: dict[str, Any]) -> str:
    """A key policy that the account itself rules, with some statements more."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement({"AWS": ROOT}), *more]})


PUBLIC = policy(statement("*"))


async def denied(call: Any) -> None:
    with pytest.raises(ClientError):
        await call


async def imported(kms: Any, arn: str, until: float | None = None) -> None:
    """Give a key material of our own."""
    asked = await kms.get_parameters_for_import(
        KeyId=arn, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    public = serialization.load_der_public_key(asked["PublicKey"])
    assert isinstance(public, rsa.RSAPublicKey)
    digest = hashes.SHA256()
    await kms.import_key_material(
        KeyId=arn,
        ImportToken=asked["ImportToken"],
        EncryptedKeyMaterial=public.encrypt(
            b"m" * 32, padding.OAEP(padding.MGF1(digest), digest, None)
        ),
        **({"ValidTo": until} if until else {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}),
    )


async def test_keys_are_taken_away(simulator: Simulator, tmp_path: Path) -> None:
    async with night(simulator, tmp_path, keys=5) as scene:
        kms = scene.mallory.kms
        one, two, three = scene.key(), scene.key(), scene.key()
        await scene.attack("disable", lambda _: kms.disable_key(KeyId=one), key_disabled="high")
        await scene.attack("enable", lambda _: kms.enable_key(KeyId=one), key_enabled="info")
        await asyncio.sleep(1.1)  # CloudTrail has whole seconds
        await scene.attack(
            "again",
            lambda _: kms.disable_key(KeyId=one),
            key_disabled="high",
            key_broken_again="high",
        )
        await scene.attack(
            "schedule after disable",
            lambda _: kms.schedule_key_deletion(KeyId=one, PendingWindowInDays=30),
            key_deletion_scheduled="high",
            deletion_after_preparation="critical",
        )
        await scene.attack(
            "in a hurry",
            lambda _: kms.schedule_key_deletion(KeyId=two, PendingWindowInDays=7),
            key_deletion_scheduled="critical",
        )
        await scene.attack(
            "cancel",
            lambda _: kms.cancel_key_deletion(KeyId=two),
            key_deletion_cancelled="info",
        )
        await scene.attack(
            "the third key",
            lambda _: kms.disable_key(KeyId=three),
            key_disabled="high",
            many_keys="critical",
        )
        await scene.attack(
            "still in use",
            lambda _: denied(kms.encrypt(KeyId=three, Plaintext=b"x")),
            unusable_key_used="high",
        )
        await asyncio.sleep(1.1)  # the success before must not seem to come after
        simulator.set_knob("deny", ("mallory:kms:DisableKey",))
        arn = scene.key()
        for _ in range(3):
            await scene.attack(
                "denied", lambda _: denied(kms.disable_key(KeyId=arn)), key_disabled="medium"
            )
        simulator.set_knob("deny", ())
        await scene.attack(
            "then allowed",
            lambda _: kms.disable_key(KeyId=arn),
            key_disabled="high",
            denied_then_success="high",
        )


async def test_keys_are_changed(simulator: Simulator, tmp_path: Path) -> None:
    grants: list[dict[str, Any]] = []
    store = ""

    async def prepare(scene: Scene) -> None:
        nonlocal store
        for retiring in (DAEMON, f"arn:aws:iam::{ACCOUNT}:user/mallory"):
            grants.append(
                await scene.admin.kms.create_grant(
                    KeyId=scene.keys[0],
                    GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:role/payments",
                    RetiringPrincipal=retiring,
                    Operations=["Decrypt"],
                )
            )
        made = await scene.admin.kms.create_custom_key_store(
            CustomKeyStoreName="store",
            CloudHsmClusterId="cluster-a2b3c4defgh",
            TrustAnchorCertificate="certificate",
            KeyStorePassword="password",
        )
        store = made["CustomKeyStoreId"]
        await scene.admin.kms.connect_custom_key_store(CustomKeyStoreId=store)

    async with night(simulator, tmp_path, keys=3, prepare=prepare) as scene:
        kms, attack = scene.mallory.kms, scene.attack
        one, two = scene.key(), scene.key()
        await attack(
            "revoke",
            lambda _: kms.revoke_grant(KeyId=one, GrantId=grants[0]["GrantId"]),
            grant_revoked="high",
        )
        await attack(
            "retire",
            lambda _: kms.retire_grant(KeyId=one, GrantId=grants[1]["GrantId"]),
            grant_retired="low",
        )
        await attack(
            "grant",
            lambda _: kms.create_grant(
                KeyId=one, GranteePrincipal=OUTSIDER, Operations=["Decrypt"]
            ),
            grant_created="high",
        )
        await attack(
            "alias",
            lambda _: kms.create_alias(AliasName="alias/x", TargetKeyId=one),
            alias_created="low",
        )
        await attack(
            "alias elsewhere",
            lambda _: kms.update_alias(AliasName="alias/payments-0", TargetKeyId=two),
            alias_repointed="high",
        )
        await attack(
            "no alias",
            lambda _: kms.delete_alias(AliasName="alias/payments-1"),
            alias_deleted="high",
        )
        await attack(
            "tag",
            lambda _: kms.untag_resource(KeyId=two, TagKeys=["protected"]),
            protection_tag_removed="high",
        )
        await attack(
            "period",
            lambda _: kms.enable_key_rotation(KeyId=two, RotationPeriodInDays=2560),
            rotation_period_changed="medium",
        )
        await attack(
            "rotation",
            lambda _: kms.disable_key_rotation(KeyId=two),
            rotation_disabled="medium",
        )
        await attack(
            "on demand",
            lambda _: kms.rotate_key_on_demand(KeyId=two),
            rotated_on_demand="low",
        )
        await attack(
            "description",
            lambda _: kms.update_key_description(KeyId=two, Description="x"),
            key_description_changed="low",
        )
        await attack(
            "key store",
            lambda _: kms.disconnect_custom_key_store(CustomKeyStoreId=store),
            custom_key_store_changed="high",
        )
        await attack(
            "no key store",
            lambda _: kms.delete_custom_key_store(CustomKeyStoreId=store),
            custom_key_store_changed="high",
        )
        wide = (await scene.admin.kms.create_key(MultiRegion=True))["KeyMetadata"]["Arn"]
        await attack(
            "replica",
            lambda _: kms.replicate_key(KeyId=wide, ReplicaRegion="us-east-1"),
            key_replicated="high",
        )
        await attack(
            "primary",
            lambda _: kms.update_primary_region(KeyId=wide, PrimaryRegion="us-east-1"),
            primary_region_changed="high",
        )


async def test_keys_are_opened_and_closed(simulator: Simulator, tmp_path: Path) -> None:
    async with night(simulator, tmp_path, keys=4) as scene:
        kms, attack = scene.mallory.kms, scene.attack
        arn = scene.key()
        for what, text, severity in (
            ("public", PUBLIC, "critical"),
            ("we are denied", policy(statement({"AWS": DAEMON}, Effect="Deny")), "critical"),
            ("a stranger", policy(statement({"AWS": OUTSIDER})), "high"),
            ("somebody of ours", policy(statement({"AWS": DAEMON})), "medium"),
        ):
            await attack(
                what,
                lambda _, text=text: kms.put_key_policy(KeyId=arn, Policy=text),
                key_policy_changed=severity,
            )
        await attack(
            "schedule after policy",
            lambda _: kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=30),
            key_deletion_scheduled="high",
            deletion_after_preparation="critical",
        )
        await attack("born public", lambda _: kms.create_key(Policy=PUBLIC), key_created="critical")
        await attack(
            "of our own material",
            lambda _: kms.create_key(Origin="EXTERNAL"),
            key_created="medium",
        )
        empty = (await scene.admin.kms.create_key(Origin="EXTERNAL"))["KeyMetadata"]["Arn"]
        await attack(
            "import",
            lambda _: imported(kms, empty),
            import_prepared="low",
            material_imported="low",
        )
        await attack(
            "emptied",
            lambda _: kms.delete_imported_key_material(KeyId=empty),
            imported_material_deleted="critical",
        )
        await attack(
            "used while empty",
            lambda _: denied(kms.encrypt(KeyId=empty, Plaintext=b"x")),
            unusable_key_used="high",
        )


async def test_keys_are_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ahead = 0.0

    async def days_pass(_: Scene) -> None:
        nonlocal ahead
        ahead += 31 * 86400
        simulator.tick()

    async with Simulator(seed=1, now=lambda: time.time() + ahead) as simulator:
        lead_to(simulator, monkeypatch)
        async with night(simulator, tmp_path, keys=1) as scene:
            kms, attack = scene.mallory.kms, scene.attack
            arn = scene.key()
            empty = (await scene.admin.kms.create_key(Origin="EXTERNAL"))["KeyMetadata"]["Arn"]
            soon = time.time() + 3 * 86400
            await attack("short", lambda _: imported(kms, empty, soon), material_imported="high")
            await attack(
                "schedule",
                lambda _: kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=30),
                key_deletion_scheduled="high",
            )
            await attack(
                "a month", days_pass, key_deleted="critical", imported_material_expired="critical"
            )


async def test_trails_are_blinded(simulator: Simulator, tmp_path: Path) -> None:
    async with night(simulator, tmp_path, keys=1) as scene:
        trails, attack = scene.mallory.cloudtrail, scene.attack
        arn = scene.key()
        everything = {"IncludeManagementEvents": True, "ReadWriteType": "All"}
        not_kms = everything | {"ExcludeManagementEventSources": ["kms.amazonaws.com"]}
        advanced = [
            {"Field": "eventCategory", "Equals": ["Management"]},
            {"Field": "eventSource", "NotEquals": ["kms.amazonaws.com"]},
        ]
        await attack(
            "KMS excluded",
            lambda _: trails.put_event_selectors(TrailName="kms-monitor", EventSelectors=[not_kms]),
            trail_blinded="critical",
        )
        await attack(
            "all again",
            lambda _: trails.put_event_selectors(
                TrailName="kms-monitor", EventSelectors=[everything]
            ),
            trail_blinded="info",
        )
        await attack(
            "KMS excluded, advanced",
            lambda _: trails.put_event_selectors(
                TrailName="kms-monitor", AdvancedEventSelectors=[{"FieldSelectors": advanced}]
            ),
            trail_blinded="critical",
        )
        await attack(
            "only reads",
            lambda _: trails.put_event_selectors(
                TrailName="kms-monitor",
                EventSelectors=[everything | {"ReadWriteType": "ReadOnly"}],
            ),
            trail_blinded="critical",
        )
        await trails.put_event_selectors(TrailName="kms-monitor", EventSelectors=[everything])
        await attack(
            "elsewhere",
            lambda _: trails.update_trail(Name="kms-monitor", S3BucketName="mine"),
            trail_changed="high",
        )
        await attack(
            "insights",
            lambda _: trails.put_insight_selectors(TrailName="kms-monitor", InsightSelectors=[]),
            trail_blinded="low",
        )
        await attack(
            "stop", lambda _: trails.stop_logging(Name="kms-monitor"), trail_stopped="critical"
        )
        await attack(
            "start", lambda _: trails.start_logging(Name="kms-monitor"), trail_stopped="info"
        )
        await attack(
            "then damage",
            lambda _: scene.mallory.kms.disable_key(KeyId=arn),
            blinding_then_damage="critical",
        )
        simulator.set_knob("deny", ("mallory:cloudtrail:*",))
        await attack(
            "denied",
            lambda _: denied(trails.stop_logging(Name="kms-monitor")),
            trail_stopped="medium",
        )
        simulator.set_knob("deny", ())
        await attack(
            "delete", lambda _: trails.delete_trail(Name="kms-monitor"), trail_stopped="critical"
        )


async def test_rules_are_silenced(simulator: Simulator, tmp_path: Path) -> None:
    async with night(simulator, tmp_path) as scene:
        events, attack = scene.mallory.events, scene.attack
        name = rule_name("kms.amazonaws.com DisableKey")
        narrow = {"source": ["aws.kms"], "detail": {"eventName": ["EnableKey"]}}
        await attack(
            "narrowed",
            lambda _: events.put_rule(Name=name, EventPattern=json.dumps(narrow)),
            rule_narrowed="high",  # not critical: there are other rules,
        )
        await attack("disable", lambda _: events.disable_rule(Name=name), rule_disabled="critical")
        await attack("enable", lambda _: events.enable_rule(Name=name), rule_disabled="info")
        await attack(
            "put disabled",
            lambda _: events.put_rule(Name=name, EventPattern=json.dumps(narrow), State="DISABLED"),
            rule_disabled="critical",
        )
        stranger = f"arn:aws:sqs:{REGION}:999988887777:theirs"
        await attack(
            "a target of theirs",
            lambda _: events.put_targets(Rule=name, Targets=[{"Id": "x", "Arn": stranger}]),
            rule_targets_changed="high",
        )
        await attack(
            "no targets",
            lambda _: events.remove_targets(Rule=name, Ids=["queue", "x"]),
            rule_targets_changed="critical",
        )
        await attack("delete", lambda _: events.delete_rule(Name=name), rule_disabled="critical")


async def test_the_rule_that_tells_of_rules_is_silenced(
    simulator: Simulator, tmp_path: Path
) -> None:
    async with night(simulator, tmp_path) as scene:
        name = rule_name("events.amazonaws.com DisableRule")
        await scene.attack(
            "disable",
            lambda _: scene.mallory.events.disable_rule(Name=name),
            rule_disabled="critical",
        )


async def test_queues_are_emptied(simulator: Simulator, tmp_path: Path) -> None:
    async with night(simulator, tmp_path) as scene:
        sqs, attack = scene.mallory.sqs, scene.attack
        url = simulator.queue_url
        anybody = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:kms-monitor",
        }
        text = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
        for what, name, value, severity in (
            ("public", "Policy", text, "high"),
            ("no dead letters", "RedrivePolicy", "", "medium"),
            ("a key", "KmsMasterKeyId", "alias/theirs", "high"),
            ("short", "MessageRetentionPeriod", "60", "high"),
            ("nobody may send", "Policy", "", "critical"),
        ):
            await attack(
                what,
                lambda _, change={name: value}: sqs.set_queue_attributes(
                    QueueUrl=url, Attributes=change
                ),
                queue_changed=severity,
            )
        await attack("purge", lambda _: sqs.purge_queue(QueueUrl=url), queue_emptied="critical")
        await attack(
            "delete the other",
            lambda _: sqs.delete_queue(QueueUrl=simulator.dlq_url),
            queue_emptied="critical",
        )


async def test_people_are_no_longer_told(simulator: Simulator, tmp_path: Path) -> None:
    async with night(simulator, tmp_path) as scene:
        sns, attack = scene.mallory.sns, scene.attack
        topic = simulator.topic_arn
        anybody = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "sns:*",
            "Resource": topic,
        }
        text = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
        await attack(
            "public",
            lambda _: sns.set_topic_attributes(
                TopicArn=topic, AttributeName="Policy", AttributeValue=text
            ),
            topic_changed="high",
        )
        await attack(
            "a stranger listens",
            lambda _: sns.subscribe(
                TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:999988887777:q"
            ),
            topic_changed="high",
        )
        found = await scene.admin.sns.list_subscriptions_by_topic(TopicArn=topic)
        ours = found["Subscriptions"][0]["SubscriptionArn"]
        await attack(
            "filtered",
            lambda _: sns.set_subscription_attributes(
                SubscriptionArn=ours,
                AttributeName="FilterPolicy",
                AttributeValue='{"severity": ["none"]}',
            ),
            topic_changed="high",
        )
        await attack(
            "nobody listens",
            lambda _: sns.unsubscribe(SubscriptionArn=ours),
            topic_changed="high",
        )
        await attack("delete", lambda _: sns.delete_topic(TopicArn=topic), topic_changed="critical")


async def test_rights_are_taken(simulator: Simulator, tmp_path: Path) -> None:
    bucket = f"kms-monitor-trail-{ACCOUNT}"

    async def prepare(scene: Scene) -> None:
        await scene.admin.iam.create_user(UserName="kms-monitor")
        place = {"LocationConstraint": REGION}
        await scene.admin.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)

    async with night(simulator, tmp_path, prepare=prepare) as scene:
        iam, s3, attack = scene.mallory.iam, scene.mallory.s3, scene.attack
        nothing = {"Effect": "Deny", "Action": "kms:*", "Resource": "*"}
        await attack(
            "denied all",
            lambda _: iam.put_user_policy(
                UserName="kms-monitor",
                PolicyName="no",
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [nothing]}),
            ),
            our_rights_changed="critical",
        )
        await attack(
            "somebody becomes us",
            lambda _: iam.create_access_key(UserName="kms-monitor"),
            our_rights_changed="high",
        )
        rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
        await attack(
            "log files vanish",
            lambda _: s3.put_bucket_lifecycle_configuration(
                Bucket=bucket, LifecycleConfiguration={"Rules": [rule]}
            ),
            log_bucket_changed="high",
        )
        theirs = {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": f"arn:aws:kms:{REGION}:999988887777:key/1",
        }
        await attack(
            "under a foreign key",
            lambda _: s3.put_bucket_encryption(
                Bucket=bucket,
                ServerSideEncryptionConfiguration={
                    "Rules": [{"ApplyServerSideEncryptionByDefault": theirs}]
                },
            ),
            bucket_encryption_changed="high",
        )
        await attack(
            "gone", lambda _: s3.delete_bucket(Bucket=bucket), log_bucket_changed="critical"
        )
