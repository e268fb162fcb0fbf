"""The steps of the inventory that start from ourselves: who we are, our queues, our topics.

See `monitor.loops.inventory`. The names of calls and members are those of AWS's API references.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from monitor.aws import Aws
from monitor.key import KeyRef
from monitor.knowledge import Watched
from monitor.loops.turns import Turns

Place = tuple[str, str]
"""Account and Region."""


class End(Protocol):
    """Where events come to us: a queue, or whatever else rules send to."""

    @property
    def arn(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def entry(self) -> str:
        """As `monitor.aws.Aws` knows the role to take; "" for our own credentials."""
        ...

    @property
    def bulk(self) -> bool:
        """Whether it brings log files, which need no rule."""
        ...


class OurQueue(msgspec.Struct, frozen=True):
    """A queue that we read."""

    arn: str
    url: str
    region: str
    name: str
    entry: str = ""
    """As `monitor.aws.Aws` knows the role to take; "" for our own credentials."""
    bulk: bool = False

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]


class Step(msgspec.Struct):
    """How one step went."""

    failed: bool = False


Steps = Callable[[str], AbstractAsyncContextManager[Step]]
"""`monitor.loops.inventory.Inventory.step`."""


class Finds:
    """What one look finds, by the fields of `Watched`."""

    def __init__(self) -> None:
        self.arns: dict[str, set[str]] = {
            name: set() for name in Watched.__struct_fields__ if name != "keys"
        }
        self.encrypted: list[tuple[Place, str, str]] = []
        """Where a key is, what it is called there, and what it encrypts."""
        self.keys: dict[KeyRef, str] = {}

    def add(self, kind: str, arn: object) -> None:
        if isinstance(arn, str) and arn.startswith("arn:"):
            self.arns[kind].add(arn)

    def add_key(self, place: Place, name: object, what: str) -> None:
        """A key that encrypts something of ours; those of AWS itself nobody can take away."""
        if isinstance(name, str) and name and "alias/aws/" not in name:
            self.encrypted.append((place, name, what))

    def watched(self) -> Watched:
        lists = {name: frozenset(arns) for name, arns in self.arns.items()}
        return Watched(**lists, keys=dict(self.keys))


class Look(msgspec.Struct, frozen=True):
    """One look: what it sees with, how its steps are guarded, and what it has found."""

    aws: Aws
    step: Steps
    finds: Finds


async def identities(look: Look, places: Sequence[Place]) -> None:
    """Who we are in every account, and the policies that we have our rights from."""
    await Turns().each(dict(places).items(), lambda place: identity(look, place))


async def identity(look: Look, place: Place) -> None:
    """Who we are in one account."""
    account, region = place
    async with look.step(f"who we are in {account}"):
        arn = await look.aws.identity(account, region)
        client = await look.aws.client("iam", region, account)
        resource = arn.split(":", 5)[5].split("/")
        if resource[0] == "assumed-role":
            await role(look, client, arn, resource[1])
        elif resource[0] == "user":
            look.finds.add("roles", arn)
            await policies(look, client, user=resource[-1])


async def role(look: Look, client: Any, session: str, name: str) -> None:
    """A session's role. The session's ARN has lost the role's path (aws-facts 1.3)."""
    async with look.step(f"the path of the role {name}") as asked:
        async with look.aws.calling("iam", "GetRole"):
            answer = await client.get_role(RoleName=name)
        look.finds.add("roles", answer["Role"]["Arn"])
    if asked.failed:
        partition, account = session.split(":")[1], session.split(":")[4]
        look.finds.add("roles", f"arn:{partition}:iam::{account}:role/{name}")
    await policies(look, client, role=name)


async def policies(look: Look, client: Any, *, role: str = "", user: str = "") -> None:
    """The managed policies attached; AWS's own (account `aws`) nobody here can change."""
    async with look.step(f"the policies of {role or user}"):
        if role:
            async with look.aws.calling("iam", "ListAttachedRolePolicies"):
                answer = await client.list_attached_role_policies(RoleName=role)
        else:
            async with look.aws.calling("iam", "ListAttachedUserPolicies"):
                answer = await client.list_attached_user_policies(UserName=user)
        for one in answer["AttachedPolicies"]:
            if ":iam::aws:" not in one["PolicyArn"]:
                look.finds.add("policies", one["PolicyArn"])


async def queues(look: Look, ours: Iterable[OurQueue]) -> None:
    """The dead-letter queues of our queues, and their keys."""
    for queue in ours:
        async with look.step(f"the attributes of the queue {queue.name}"):
            client = await look.aws.sqs(queue.region, queue.entry)
            async with look.aws.calling("sqs", "GetQueueAttributes"):
                answer = await client.get_queue_attributes(
                    QueueUrl=queue.url, AttributeNames=["RedrivePolicy", "KmsMasterKeyId"]
                )
            attributes = answer.get("Attributes", {})
            place = (queue.account, queue.region)
            look.finds.add_key(place, attributes.get("KmsMasterKeyId"), f"the queue {queue.name}")
            look.finds.add("queues", dead_letter_queue(attributes.get("RedrivePolicy", "")))


def dead_letter_queue(redrive_policy: str) -> str:
    """The ARN in a RedrivePolicy, which is JSON in a text; "" where there is none."""
    try:
        return str(json.loads(redrive_policy)["deadLetterTargetArn"])
    except (ValueError, KeyError, TypeError):
        return ""


async def topics(look: Look, ours: Iterable[str], queues: Sequence[OurQueue]) -> None:
    """The keys of our topics, and the subscriptions that bring us events from them."""
    arns = {queue.arn for queue in queues}
    for topic in ours:
        region, account, name = topic.split(":")[3:6]
        look.finds.add("topics", topic)
        async with look.step(f"the attributes of the topic {name}"):
            client = await look.aws.sns(region)
            async with look.aws.calling("sns", "GetTopicAttributes"):
                answer = await client.get_topic_attributes(TopicArn=topic)
            key = answer.get("Attributes", {}).get("KmsMasterKeyId")
            look.finds.add_key((account, region), key, f"the topic {name}")
        async with look.step(f"the subscriptions of the topic {name}"):
            client = await look.aws.sns(region)
            async with look.aws.calling("sns", "ListSubscriptionsByTopic"):
                paginator = client.get_paginator("list_subscriptions_by_topic")
                async for page in paginator.paginate(TopicArn=topic):
                    for one in page["Subscriptions"]:
                        if one.get("Endpoint") in arns:
                            look.finds.add("subscriptions", one.get("SubscriptionArn"))
