"""What an event changed about its key, register by register (see `monitor.baseline`). Pure.

CloudTrail's records of KMS calls hold the new values whole (aws-facts 2.2), so that a change can be
accepted, or told from others, without reading the key: which may have been changed again meanwhile.
"""

import json
from collections.abc import Callable, Collection
from typing import Any, Final

from monitor.event import KMS, OWN, Event
from monitor.finding import CONFIG_ITEM, Aspect
from monitor.key import Grant, canonical
from monitor.parameters import (
    alias_name,
    mapped,
    number,
    region_name,
    switched_off,
    tags_of,
    text,
    texts,
)
from monitor.register import (
    ALIAS,
    DESCRIPTION,
    EXPIRY,
    GRANT_ID,
    POLICY,
    PRIMARY,
    REPLICA,
    ROTATION,
    TAG,
    grant_register,
)
from monitor.written_times import read_written

DEFAULT_ROTATION_DAYS: Final = 365
SEEN_OTHERWISE: Final = "KeySeenOtherwise"
"""The event of our own: a part of a key is not as it should be, and no message told of it."""
MOST: Final = 200
"""Registers that one event may change: a key has at most 50 tags and 50 aliases."""


def changes_of(event: Event) -> dict[str, Any]:
    """New values by register; None where something was taken away. The state is not among them.

    Empty for a call that failed, for one that changes nothing, and where the record does not say.
    """
    if event.failed:
        return {}
    if event.event_source == OWN and event.event_name == SEEN_OTHERWISE:
        return dict(list(mapped(event.request().get("changes")).items())[:MOST])
    if event.event_name == CONFIG_ITEM:
        return recorded(event)
    if event.event_source != KMS or event.event_name not in CHANGING:
        return {}
    _, read = CHANGING[event.event_name]
    return dict(list(read(event).items())[:MOST])


def recorded(event: Event) -> dict[str, Any]:
    """What AWS Config's item of a key shows: that its rotation is off, and nothing that is not bad."""
    item = mapped(event.request().get("configurationItem"))
    off = switched_off(mapped(item.get("supplementaryConfiguration")).get("KeyRotationStatus"))
    return {ROTATION: 0} if off else {}


def put_key_policy(event: Event) -> dict[str, Any]:
    request = event.request()
    if text(request, "policyName") not in {"", "default"}:
        return {}
    try:
        return {POLICY: canonical(json.loads(text(request, "policy")))}
    except (ValueError, RecursionError):
        return {}


def enable_key_rotation(event: Event) -> dict[str, Any]:
    days = number(event.request().get("rotationPeriodInDays"))
    return {ROTATION: DEFAULT_ROTATION_DAYS if days is None else int(days)}


def disable_key_rotation(event: Event) -> dict[str, Any]:
    return {ROTATION: 0}


def update_key_description(event: Event) -> dict[str, Any]:
    described = event.request().get("description")
    return {DESCRIPTION: described} if isinstance(described, str) else {}


def tag_resource(event: Event) -> dict[str, Any]:
    return {TAG + name: value for name, value in tags_of(event.request(), "tags").items()}


def untag_resource(event: Event) -> dict[str, Any]:
    return dict.fromkeys(TAG + name for name in texts(event.request().get("tagKeys")))


def point_alias(event: Event) -> dict[str, Any]:
    name = alias_name(text(event.request(), "aliasName"))
    return {name: True} if name.startswith(ALIAS) else {}


def delete_alias(event: Event) -> dict[str, Any]:
    name = alias_name(text(event.request(), "aliasName"))
    return {name: None} if name.startswith(ALIAS) else {}


def create_grant(event: Event) -> dict[str, Any]:
    request = event.request()
    grantee = text(request, "granteePrincipal", "granteeServicePrincipal")
    if not grantee:
        return {}
    constraints = {
        member[0].upper() + member[1:]: {name: str(value) for name, value in context.items()}
        for member, context in mapped(request.get("constraints")).items()
        if member and isinstance(context, dict)
    }
    register, value = grant_register(
        Grant(
            grant_id=text(event.response(), "grantId"),
            grantee=grantee,
            retiring=text(request, "retiringPrincipal", "retiringServicePrincipal"),
            operations=tuple(texts(request.get("operations"))),
            name=text(request, "name"),
            constraints=constraints,
        )
    )
    return {register: value}


def lose_grant(event: Event) -> dict[str, Any]:
    grant_id = text(event.additional(), "grantId") or text(event.request(), "grantId")
    return {GRANT_ID + grant_id: None} if grant_id else {}


def import_key_material(event: Event) -> dict[str, Any]:
    """The moment that is written is wrong by some hours: see `monitor.written_times`."""
    written = event.request().get("validTo")
    expires = read_written(written) if isinstance(written, str) else number(written)
    return {EXPIRY: expires} if written is None or expires is not None else {}


def update_primary_region(event: Event) -> dict[str, Any]:
    region = region_name(text(event.request(), "primaryRegion"))
    return {PRIMARY: region} if region else {}


def replicate_key(event: Event) -> dict[str, Any]:
    region = region_name(text(event.request(), "replicaRegion"))
    return {REPLICA + region: True} if region else {}


Reader = Callable[[Event], dict[str, Any]]
CHANGING: Final[dict[str, tuple[Aspect, Reader]]] = {
    "CreateAlias": (Aspect.ALIASES, point_alias),
    "CreateGrant": (Aspect.GRANTS, create_grant),
    "DeleteAlias": (Aspect.ALIASES, delete_alias),
    "DisableKeyRotation": (Aspect.ROTATION, disable_key_rotation),
    "EnableKeyRotation": (Aspect.ROTATION, enable_key_rotation),
    "ImportKeyMaterial": (Aspect.STATE, import_key_material),
    "PutKeyPolicy": (Aspect.POLICY, put_key_policy),
    "ReplicateKey": (Aspect.REPLICATION, replicate_key),
    "RetireGrant": (Aspect.GRANTS, lose_grant),
    "RevokeGrant": (Aspect.GRANTS, lose_grant),
    "TagResource": (Aspect.TAGS, tag_resource),
    "UntagResource": (Aspect.TAGS, untag_resource),
    "UpdateAlias": (Aspect.ALIASES, point_alias),
    "UpdateKeyDescription": (Aspect.DESCRIPTION, update_key_description),
    "UpdatePrimaryRegion": (Aspect.REPLICATION, update_primary_region),
}
"""By event name: what of a key each call changes, and how to read the new values out of its record."""


def calls_that_change(aspects: Collection[Aspect]) -> frozenset[str]:
    """The names of the calls that change these parts of a key."""
    return frozenset(name for name, (aspect, _) in CHANGING.items() if aspect in aspects)
