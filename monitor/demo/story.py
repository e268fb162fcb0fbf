"""The story: what is done to which key, by whom, and how it ought to end."""

import json
import time
import uuid
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from monitor.clock import iso
from monitor.demo.people import ACCOUNT, REGION, People
from monitor.demo.watch import WatchedKms
from monitor.simulator.server import Simulator

KEYS = {
    "payments": "Enabled",
    "backups": "Enabled",
    "archive": "Disabled",
    "ledger": "Enabled",
}
"""The keys' aliases, with the state in which each begins, and has to end."""
DENIED = "intern:kms:ScheduleKeyDeletion"
"""The simulator's rule for the one who lacks the permission."""
FORGED_AGE = 60.0
"""Seconds: CloudTrail's own events are often that old, so this one does not look odd."""


PUBLIC = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}],
    }
)
"""A key policy with which everybody may do anything."""
EVERYTHING = {"IncludeManagementEvents": True, "ReadWriteType": "All"}
NOT_KMS = EVERYTHING | {"ExcludeManagementEventSources": ["kms.amazonaws.com"]}
"""With the one a trail records every change, with the other everything but KMS."""


class Attack(msgspec.Struct, frozen=True):
    """One scene, before it is played."""

    operation: str
    key: str
    """Empty where it is not about a key."""
    who: str
    outcome: str
    """The stage that the monitor's notification has to report (`monitor.telling.advice.stage`)."""
    forged: bool = False
    again: bool = False
    detector: str = ""
    """Where nothing can be undone: which detector has to tell of it, as critical."""

    @property
    def what(self) -> str:
        if self.again:
            return f"{self.operation} {self.key} again"
        return f"{'forged: ' * self.forged}{self.operation} {self.key or 'trail'}"


SETUP = Attack("DisableKey", "archive", "admin", "already")
"""On purpose, before the monitor comes: it learns that this key is meant to be Disabled."""
ATTACKS = (
    Attack("DisableKey", "payments", "mallory", "done"),
    Attack("ScheduleKeyDeletion", "backups", "mallory", "done"),
    Attack("ScheduleKeyDeletion", "archive", "mallory", "done"),
    Attack("DisableKey", "payments", "mallory", "done", again=True),
    Attack("ScheduleKeyDeletion", "ledger", "intern", "told"),
    Attack("PutKeyPolicy", "backups", "mallory", "done", detector="key_policy_changed"),
    Attack("PutEventSelectors", "", "mallory", "told", detector="trail_blinded"),
    # Past the trail, which records no KMS call any more.
    Attack("DisableKey", "ledger", "mallory", "already", forged=True),
)
STORY = "many_keys"
"""The detector that has to tell, as critical, what the attacks are when they are taken together."""


class Played(msgspec.Struct, frozen=True):
    """One scene that was played."""

    attack: Attack
    arn: str
    event_id: str
    at: float
    """When it took effect (`time.perf_counter`)."""


class Stage:
    """The keys, and the scenes on them."""

    def __init__(self, simulator: Simulator, kms: WatchedKms, people: People) -> None:
        self.simulator = simulator
        self.kms = kms
        self.people = people
        self.arns: dict[str, str] = {}

    async def set_up(self) -> Played:
        """Make the keys, and disable the one that is meant to be disabled."""
        admin = self.people.kms("admin")
        for name in KEYS:
            answer = await admin.create_key(Description=f"Key of the {name} service")
            self.arns[name] = answer["KeyMetadata"]["Arn"]
            await admin.create_alias(AliasName=f"alias/{name}", TargetKeyId=self.arns[name])
        return await self.play(SETUP)

    async def play(self, attack: Attack) -> Played:
        if attack.forged:
            return await self.forge(attack)
        if not attack.key:
            return await self.blind(attack)
        arn = self.arns[attack.key]
        client = self.people.kms(attack.who)
        try:
            if attack.operation == "ScheduleKeyDeletion":
                answer = await client.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
            elif attack.operation == "PutKeyPolicy":
                answer = await client.put_key_policy(KeyId=arn, Policy=PUBLIC)
            else:
                answer = await client.disable_key(KeyId=arn)
        except ClientError as refusal:
            answer = dict(refusal.response)
        at = self.kms.last(attack.who, attack.operation).at
        return Played(attack, arn, self.event_id(answer), at)

    async def blind(self, attack: Attack) -> Played:
        """Make the trail leave KMS out."""
        at = time.perf_counter()
        return Played(attack, "", await self.select(attack.who, NOT_KMS), at)

    async def mend(self) -> str:
        """Make the trail record KMS again; the id of the event."""
        return await self.select("admin", EVERYTHING)

    async def select(self, who: str, selector: dict[str, Any]) -> str:
        answer = await self.people.cloudtrail(who).put_event_selectors(
            TrailName=self.simulator.trail_name, EventSelectors=[selector]
        )
        return self.event_id(answer)

    def event_id(self, answer: dict[str, Any]) -> str:
        """The id of the CloudTrail event that recorded the call."""
        request_id = answer["ResponseMetadata"]["RequestId"]
        return next(
            str(record["eventID"])
            for record in reversed(self.simulator.records)
            if record.get("requestID") == request_id
        )

    async def forge(self, attack: Attack) -> Played:
        """Send the queue what looks just like an event of a call that was never made."""
        arn, event_id = self.arns[attack.key], str(uuid.uuid4())
        when = iso(time.time() - FORGED_AGE)
        user = f"arn:aws:iam::{ACCOUNT}:user/{attack.who}"
        record = {
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "IAMUser",
                "arn": user,
                "accountId": ACCOUNT,
                "userName": attack.who,
            },
            "eventTime": when,
            "eventSource": "kms.amazonaws.com",
            "eventName": attack.operation,
            "awsRegion": REGION,
            "sourceIPAddress": "203.0.113.7",
            "userAgent": "aws-cli/2.31.0",
            "requestParameters": {"keyId": arn},
            "responseElements": {"keyId": arn},
            "requestID": str(uuid.uuid4()),
            "eventID": event_id,
            "readOnly": False,
            "resources": [{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": arn}],
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": ACCOUNT,
            "eventCategory": "Management",
        }
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "AWS API Call via CloudTrail",
            "source": "aws.kms",
            "account": ACCOUNT,
            "time": when,
            "region": REGION,
            "resources": [],
            "detail": record,
        }
        at = time.perf_counter()
        await self.people.sqs(attack.who).send_message(
            QueueUrl=self.simulator.queue_url, MessageBody=msgspec.json.encode(event).decode()
        )
        return Played(attack, arn, event_id, at)

    def state(self, name: str) -> str:
        return self.kms.state_of(self.arns[name]) if name else ""
