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
KEPT = {"MessageRetentionPeriod": FORTNIGHT, "SqsManagedSseEnabled": True}
RULE_ARN = "arn:aws:events:eu-west-1:111122223333:rule/"
"""Begins what stands for a rule's ARN while a policy is made."""


def queues(model: Model, sending: list[Rule]) -> Value:
    """The queue, and the one for what could not be read or delivered."""
    queue = model.needs.settings.queues[0]
    arns, senders = sent_by(model, sending)
    allowed = policies.queue_policy(model.needs, queue, arns)
    source = text("arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${Name}")
    redrive = {"deadLetterTargetArn": attribute("DeadLetters"), "maxReceiveCount": RECEIVES}
    return {
        "DeadLetters": dead_letters(
            {"redrivePermission": "byQueue", "sourceQueueArns": [source]},
        ),
        "Queue": resource(
            "SQS::Queue",
            {
                "QueueName": ref("Name"),
                **KEPT,
                "VisibilityTimeout": queue.visibility_seconds,
                "RedrivePolicy": redrive,
            },
        ),
        "QueuePolicy": queue_policy("Queue", senders.written(allowed)),
        "DeadLettersPolicy": dead_letters_policy(model, sending),
    }


def sent_by(model: Model, sending: list[Rule]) -> tuple[list[str], Model]:
    """What stands for the ARNs of the rules, and the model that knows what they are."""
    ours = [*sending, BUS_RULE]
    arns = [f"{RULE_ARN}{one.word}" for one in ours]
    names = dict(zip(arns, (attribute(one.logical) for one in ours), strict=True))
    return arns, Model(model.needs, {**model.names, **names}, model.account)


def dead_letters(redrive: Value) -> Value:
    """`redrive`: whose dead letters may lie in it."""
    properties = {"QueueName": text("${Name}-dlq"), **KEPT, "RedriveAllowPolicy": redrive}
    return resource("SQS::Queue", properties)


def dead_letters_policy(model: Model, sending: list[Rule]) -> Value:
    """Rules put there what they could not deliver."""
    arns, senders = sent_by(model, sending)
    queue = f"{model.needs.settings.queues[0].arn}-dlq"
    allowed = [
        policies.sender("FromRule", "events", queue, {"ArnLike": {"aws:SourceArn": arns}}),
        policies.encrypted_only("sqs", queue),
    ]
    return queue_policy("DeadLetters", senders.written(policies.document(allowed)))


def queue_policy(queue: str, document: Value) -> Value:
    return resource("SQS::QueuePolicy", {"Queues": [ref(queue)], "PolicyDocument": document})


def to_queue() -> Value:
    return {
        "Id": "queue",
        "Arn": attribute("Queue"),
        "DeadLetterConfig": {"Arn": attribute("DeadLetters")},
    }


def bus(to: Value) -> Value:
    """Where rules of other accounts and Regions send to; its one rule sends on to that target."""

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
        BUS_RULE.logical: written(BUS_RULE, [to], EventBusName=ref("Bus")),
    }
