"""Tags of keys."""

from typing import Any

from monitor.simulator.kms.call import Call, Operation, key_element
from monitor.simulator.words import Refusal, Reply

MOST_TAGS = 50


def read_tags(tags: list[dict[str, Any]]) -> dict[str, str]:
    """A request's tag list as a mapping; raises TagException for what KMS does not take."""
    read: dict[str, str] = {}
    for tag in tags:
        name, value = tag["TagKey"], tag["TagValue"]
        if name.lower().startswith("aws:"):
            raise Refusal("TagException", "Tags beginning with aws: are reserved")
        if name in read:
            raise Refusal("TagException", "Duplicate tag keys")
        read[name] = value
    if len(read) > MOST_TAGS:
        raise Refusal("TagException", "Too many tags")
    return read


def tag_resource(call: Call) -> Reply:
    tags = read_tags(call.parameters["Tags"])
    key = call.key()
    if len(key.tags | tags) > MOST_TAGS:
        raise Refusal("LimitExceededException", f"{key.arn} would have more than 50 tags")
    key.tags = key.tags | tags
    return call.reply(key, response=key_element(key))


def untag_resource(call: Call) -> Reply:
    key = call.key()
    unwanted = set(call.parameters["TagKeys"])
    key.tags = {name: value for name, value in key.tags.items() if name not in unwanted}
    return call.reply(key, response=key_element(key))


def list_resource_tags(call: Call) -> Reply:
    key = call.key()
    entries = [
        (name, {"TagKey": name, "TagValue": value}) for name, value in sorted(key.tags.items())
    ]
    return call.reply(key, body=call.vault.page(entries, "Tags", call.parameters, 50))


OPERATIONS: dict[str, Operation] = {
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "ListResourceTags": list_resource_tags,
}
