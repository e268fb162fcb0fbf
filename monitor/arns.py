"""ARNs: whose they are, and the ARN of what a call names in its own way.

Callers name a resource by its name, by its ARN, a queue by a URL. Where nothing can be made of it
the ARN is "". All of it is untrusted text.
"""

import re
from urllib.parse import urlsplit

from monitor.event import Event
from monitor.key import partition_of

ARN = re.compile(r"arn:aws[a-z-]{0,20}:[a-z0-9-]{1,40}:[a-z0-9-]{0,40}:[0-9]{0,12}:\S{1,1000}")
ACCOUNT = re.compile(r"[0-9]{12}")
QUEUE = re.compile(r"[A-Za-z0-9_-]{1,80}(\.fifo)?")
"""SQS API reference, "CreateQueue"."""
BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")
"""S3 user guide, "General purpose bucket naming rules"; old ones may be long, with large letters."""
LONGEST_NAME = 512
"""Characters: the name of a log group, which is the longest of those that are asked for."""
DEFAULT_BUS = "default"


def account_of(name: object) -> str:
    """The account in a principal's name or an ARN: 12 digits, or an ARN that has them; else "".

    EC2 names an instance to which it gives a grant `ACCOUNT:aws:ec2-infrastructure:INSTANCE` (KMS
    developer guide, "Amazon EC2 example two").
    """
    if not isinstance(name, str):
        return ""
    if ACCOUNT.fullmatch(name):
        return name
    parts = name.split(":", 5)
    if len(parts) == 4 and parts[1] == "aws" and ACCOUNT.fullmatch(parts[0]):
        return parts[0]
    found = parts[4] if len(parts) > 5 and parts[0] == "arn" else ""
    return found if ACCOUNT.fullmatch(found) else ""


def arn_of(event: Event, service: str, name: object, *, kind: str = "") -> str:
    """The ARN of what a call names by its ARN, or by its name in the caller's account and Region.

    `kind` stands before the name, such as `trail/`.
    """
    if not isinstance(name, str) or not name.strip():
        return ""
    if name.startswith("arn:"):
        return name if ARN.fullmatch(name) else ""
    if len(name) > LONGEST_NAME or not name.isprintable():
        return ""
    return built(event.aws_region, service, event.recipient_account_id, f"{kind}{name}")


def built(region: str | None, service: str, account: str | None, rest: str) -> str:
    """An ARN of its parts; "" where one is missing."""
    if not (region and account and ACCOUNT.fullmatch(account)):
        return ""
    return f"arn:{partition_of(region)}:{service}:{region}:{account}:{rest}"


def arn_in(message: str | None, service: str) -> str:
    """The first ARN of a service in an error's text; "" where there is none."""
    found = re.search(rf"arn:aws[a-z-]{{0,20}}:{service}:[^\s\"',]{{1,500}}", message or "")
    return found[0].rstrip(".;:)") if found else ""


def trail_arn(event: Event, name: object) -> str:
    return arn_of(event, "cloudtrail", name, kind="trail/")


def bucket_arn(region: str | None, name: object) -> str:
    """It has neither Region nor account."""
    if not isinstance(name, str) or not BUCKET.fullmatch(name):
        return ""
    return f"arn:{partition_of(region or '')}:s3:::{name}"


def log_group_arn(event: Event, name: object) -> str:
    """Without the `:*` with which such ARNs are written at times, and without a stream of it."""
    text = name.partition(":log-stream:")[0] if isinstance(name, str) else ""
    return arn_of(event, "logs", text.removesuffix("*").rstrip(":"), kind="log-group:")


def bus_name(bus: object) -> str:
    """A bus by its name; a call that names none means the default one (aws-facts 7.2)."""
    text = bus if isinstance(bus, str) and bus else DEFAULT_BUS
    return text.rpartition("event-bus/")[2] if text.startswith("arn:") else text


def bus_arn(event: Event, bus: object) -> str:
    """Of a bus by its name, its ARN, or none at all."""
    text = bus if isinstance(bus, str) and bus else DEFAULT_BUS
    return arn_of(event, "events", text, kind="event-bus/")


def rule_arn(event: Event, rule: object, bus: object) -> str:
    """`rule/NAME` on the default bus, `rule/BUS/NAME` on another."""
    name = bus_name(bus)
    return arn_of(event, "events", rule, kind="rule/" if name == DEFAULT_BUS else f"rule/{name}/")


def queue_arn(event: Event, url: object) -> str:
    """The queue of a URL, which has several forms; the last two parts of its path count.

    The Region is the event's own, for not every host says it (aws-facts 7.3).
    """
    if not isinstance(url, str):
        return ""
    if url.startswith("arn:"):
        return arn_of(event, "sqs", url)
    try:
        parts = [part for part in urlsplit(url).path.split("/") if part]
    except ValueError:
        return ""
    if len(parts) < 2 or not QUEUE.fullmatch(parts[-1]):
        return ""
    return built(event.aws_region, "sqs", parts[-2], parts[-1])


def topic_of(subscription: str) -> str:
    """A subscription's ARN is its topic's, and an id behind it."""
    return subscription.rpartition(":")[0] if subscription.count(":") > 5 else ""
