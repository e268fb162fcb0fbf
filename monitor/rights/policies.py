"""The policy documents: exactly what is enabled, on as little as can be named. Pure.

Forms: IAM user guide, "IAM JSON policy elements reference"; producers and trust: aws-facts 8.2 and 8.3.
"""

import json
from collections.abc import Iterable
from typing import Any

from monitor.rights import table
from monitor.rights.enabled import ANY_ACCOUNT, MOST, Asked, Needs
from monitor.settings import QueueSettings
from monitor.settings_accounts import Account

Document = dict[str, Any]


def document(statements: Iterable[dict[str, Any]]) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def one_or_all(values: Iterable[str]) -> str | list[str]:
    """As people write it: a single value without brackets."""
    found = list(values)
    return found[0] if len(found) == 1 else found


def allow(asked: Asked) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": asked.right.sid,
        "Effect": "Allow",
        "Action": one_or_all(asked.right.calls),
        "Resource": one_or_all(asked.resources),
    }
    return statement | ({"Condition": asked.condition} if asked.condition else {})


def size(made: Document) -> int:
    """Characters as AWS counts them: blanks do not count."""
    return len(json.dumps(made, separators=(",", ":")))


def short(made: Document) -> Document:
    """One that is too long, with the calls on the same resources in one statement."""
    if size(made) <= MOST:
        return made
    joined: dict[str, dict[str, Any]] = {}
    for one in made["Statement"]:
        about = json.dumps([one["Effect"], one["Resource"], one.get("Condition")])
        if about not in joined:
            joined[about] = one | {"Action": []}
        joined[about]["Action"] += (
            [one["Action"]] if isinstance(one["Action"], str) else one["Action"]
        )
    return document(joined.values())


def never() -> dict[str, Any]:
    return {"Sid": "Never", "Effect": "Deny", "Action": list(table.NEVER), "Resource": "*"}


def home_policy(needs: Needs) -> Document:
    """For the role or user that the daemon runs as. Its account's own keys are in it, if guarded."""
    return short(document(home_statements(needs)))


def home_statements(needs: Needs) -> list[dict[str, Any]]:
    """The statements of `home_policy`, however long they are together."""
    statements = [allow(one) for one in needs.asked_at_home()]
    for account in needs.settings.accounts:
        if account.role_arn is None:
            statements += [allow(one) for one in needs.asked_in(account)]
    return [*statements, never()]


def member_policy(needs: Needs, account: str) -> Document:
    """For the role that the daemon assumes in one account; of an organization the same for all."""
    guarded = needs.account(account)
    assert guarded is not None
    if guarded.id == ANY_ACCOUNT and account != ANY_ACCOUNT:
        role = (guarded.role_arn or "").replace(f"::{ANY_ACCOUNT}:", f"::{account}:")
        guarded = guarded.model_copy(update={"id": account, "role_arn": role})
    return short(document(member_statements(needs, guarded)))


def member_statements(needs: Needs, guarded: Account) -> list[dict[str, Any]]:
    """The statements of `member_policy`, however long they are together."""
    return [*(allow(one) for one in needs.asked_in(guarded)), never()]


def reader_policy(queue: QueueSettings) -> Document:
    """For the role that the daemon assumes to read a queue of another account."""
    listen, count = table.LISTEN
    return document(
        [
            allow(Asked(listen, (queue.arn,), {})),
            allow(Asked(count, (f"{queue.arn}-dlq",), {})),
        ]
    )


def organization_policy() -> Document:
    """For the role that the daemon assumes to ask Organizations."""
    return document(allow(Asked(right, ("*",), {})) for right in table.ORGANIZATION)


def trust_policy(needs: Needs, account: str, daemon: str) -> Document:
    """Who may assume that role: the daemon's own role or user `daemon`, with the ExternalId.

    The principal is its account, for a role that is named as principal and made anew has another id
    and is locked out; the condition keeps everybody else of that account out.
    """
    guarded = needs.account(account)
    assert guarded is not None
    partition, owner = daemon.split(":")[1], daemon.split(":")[4]
    caller = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{partition}:iam::{owner}:root"},
    }
    itself: dict[str, Any] = {"ArnEquals": {"aws:PrincipalArn": daemon}}
    condition = dict(itself)
    if guarded.external_id is not None:
        condition["StringEquals"] = {"sts:ExternalId": guarded.external_id}
    return document(
        [
            {"Sid": "Daemon", **caller, "Action": "sts:AssumeRole", "Condition": condition},
            # See `table.ENTER`. The ExternalId is no part of what STS asks for it.
            {"Sid": "Tags", **caller, "Action": "sts:TagSession", "Condition": itself},
        ]
    )


def queue_policy(needs: Needs, queue: QueueSettings, rules: Iterable[str]) -> Document:
    """Who may send into the queue: the rules (ARNs, patterns allowed), topics and buckets of the settings."""
    settings = needs.settings
    statements = [
        sender("FromRule", "events", queue.arn, {"ArnLike": {"aws:SourceArn": one_or_all(rules)}})
    ]
    if settings.sns_topics:
        source = {"ArnEquals": {"aws:SourceArn": one_or_all(settings.sns_topics)}}
        statements.append(sender("FromTopic", "sns", queue.arn, source))
    if queue.priority == "bulk" and settings.watched.buckets:
        # A bucket's ARN has no account, and a deleted name can be taken by somebody else.
        ours = sorted(settings.our_accounts | {queue.arn.split(":")[4]})
        source = {
            "ArnLike": {"aws:SourceArn": one_or_all(settings.watched.buckets)},
            "StringEquals": {"aws:SourceAccount": one_or_all(ours)},
        }
        statements.append(sender("FromBucket", "s3", queue.arn, source))
    return document([*statements, encrypted_only("sqs", queue.arn)])


def sender(sid: str, service: str, queue: str, condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": condition,
    }


def encrypted_only(service: str, resource: str) -> dict[str, Any]:
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        # Of SNS a topic's policy may deny nothing but this.
        "Action": "sqs:*" if service == "sqs" else "sns:Publish",
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def topic_policy(topic: str, daemon: str) -> Document:
    """Who may publish to the topic that people are told by: the daemon alone."""
    partition, owner = daemon.split(":")[1], daemon.split(":")[4]
    return document(
        [
            {
                "Sid": "Daemon",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:{partition}:iam::{owner}:root"},
                "Action": "sns:Publish",
                "Resource": topic,
                "Condition": {"ArnEquals": {"aws:PrincipalArn": daemon}},
            },
            encrypted_only("sns", topic),
        ]
    )


def redrive_policy(queues: list[str], dead_letters: list[str]) -> Document:
    """For people who look at dead letters and send them back."""

    def statement(sid: str, calls: tuple[str, ...], resources: list[str]) -> dict[str, Any]:
        return {
            "Sid": sid,
            "Effect": "Allow",
            "Action": one_or_all(calls),
            "Resource": one_or_all(resources),
        }

    return document(
        [
            statement("Find", table.REDRIVE_FIND, [*queues, *dead_letters]),
            statement("Look", table.REDRIVE_LOOK, dead_letters),
            statement("TakeOut", table.REDRIVE_TAKE_OUT, dead_letters),
            statement("SendBack", table.REDRIVE_SEND_BACK, queues),
        ]
    )
