"""The queue of a stack, what may send into it, and the bus for events from elsewhere. Pure."""

from monitor.rights import policies
from monitor.stack.events import BUS_RULE, Rule, written
from monitor.stack.rights import Model
from monitor.stack.words import (
    Value,
    attribute,
    ref,
    resource,
    text,
)

FORTNIGHT = 1_209_600
"""Seconds; the longest that SQS keeps a message."""
RECEIVES = 5
"""A message that was received so often and is still there is a dead letter."""
RULE_ARN = "arn:aws:events:eu-west-1:111122223333:rule/"
"""Begins what stands for a rule's ARN while a policy is made."""


def queues(model: Model, sending: list[Rule]) -> Value:
    """The queue, and the one for what could not be read or delivered."""
    ours = [*sending, BUS_RULE]
    arns = [f"{RULE_ARN}{one.word}" for one in ours]
    names = dict(zip(arns, (attribute(one.logical) for one in ours), strict=True))
    queue = model.needs.settings.queues[0]
    known = {**model.names, **names}
    senders = Model(model.needs, known, model.account)
    allowed = policies.queue_policy(model.needs, queue, arns)
    dead = policies.document(
        [
            policies.sender(
                "FromRule", "events", f"{queue.arn}-dlq", {"ArnLike": {"aws:SourceArn": arns}}
            ),
            policies.encrypted_only("sqs", f"{queue.arn}-dlq"),
        ]
    )
    kept = {"MessageRetentionPeriod": FORTNIGHT, "SqsManagedSseEnabled": True}
    source = text("arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${Name}")
    redrive = {"deadLetterTargetArn": attribute("DeadLetters"), "maxReceiveCount": RECEIVES}
    return {
        "DeadLetters": resource(
            "SQS::Queue",
            {
                "QueueName": text("${Name}-dlq"),
                **kept,
                "RedriveAllowPolicy": {
                    "redrivePermission": "byQueue",
                    "sourceQueueArns": [source],
                },
            },
        ),
        "Queue": resource(
            "SQS::Queue",
            {
                "QueueName": ref("Name"),
                **kept,
                "VisibilityTimeout": queue.visibility_seconds,
                "RedrivePolicy": redrive,
            },
        ),
        "QueuePolicy": queue_policy("Queue", senders.written(allowed)),
        "DeadLettersPolicy": queue_policy("DeadLetters", senders.written(dead)),
    }


def queue_policy(queue: str, document: Value) -> Value:
    return resource("SQS::QueuePolicy", {"Queues": [ref(queue)], "PolicyDocument": document})


def to_queue() -> Value:
    return {
        "Id": "queue",
        "Arn": attribute("Queue"),
        "DeadLetterConfig": {"Arn": attribute("DeadLetters")},
    }


def bus() -> Value:
    """Where rules of other accounts and Regions send to; its one rule sends on into the queue."""

    def sender(principal: Value, **more: Value) -> Value:
        return {
            "Effect": "Allow",
            "Principal": principal,
            "Action": "events:PutEvents",
            "Resource": attribute("Bus"),
        } | more

    own = {"StringEquals": {"aws:PrincipalOrgID": ref("Organization")}}
    return {
        "Bus": resource("Events::EventBus", {"Name": ref("Name")}),
        "BusPolicyMembers": resource(
            "Events::EventBusPolicy",
            {
                "EventBusName": ref("Bus"),
                "StatementId": "Members",
                "Statement": sender({"AWS": ref("Members")}),
            },
            Condition="HasMembers",
        ),
        "BusPolicyOrganization": resource(
            "Events::EventBusPolicy",
            {
                "EventBusName": ref("Bus"),
                "StatementId": "Organization",
                "Statement": sender("*", Condition=own),
            },
            Condition="HasOrganization",
        ),
        BUS_RULE.logical: written(BUS_RULE, [to_queue()], EventBusName=ref("Bus")),
    }
