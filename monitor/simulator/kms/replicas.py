"""Multi-Region keys: the same id and material in several Regions, each with a state of its own."""

import dataclasses

from monitor.key import KeyRef, KeyState
from monitor.simulator.kms import wire
from monitor.simulator.kms.call import Call, Operation, key_element
from monitor.simulator.kms.keys import Key
from monitor.simulator.kms.lifecycle import metadata, policy_of
from monitor.simulator.kms.tags import read_tags
from monitor.simulator.kms.vault import partition_of
from monitor.simulator.words import Refusal, Reply


def replicate_key(call: Call) -> Reply:
    """Make a replica in another Region of the partition; it is Creating until time passes.

    Imported material does not travel: the replica knows the ids of what it needs, and is
    PendingImport until each of them was imported there too.
    """
    key = _primary(call)
    region = call.parameters["ReplicaRegion"]
    if region == key.ref.region or partition_of(region) != key.ref.partition:
        raise Refusal("ValidationException", f"{region} is not a valid replica Region")
    ref = KeyRef(key.ref.account, region, key.ref.key_id, key.ref.partition)
    existing = call.vault.keys.get(ref)
    if existing is not None and not existing.gone:
        raise Refusal("AlreadyExistsException", f"{ref.arn} already exists")
    materials = key.materials
    if key.external:
        materials = [
            dataclasses.replace(each, secret=None, expires_at=None) for each in key.materials
        ]
    replica = Key(
        ref,
        call.now,
        policy_of(call, ref),
        spec=key.spec,
        usage=key.usage,
        origin=key.origin,
        description=call.get("Description", ""),
        tags=read_tags(call.get("Tags", [])),
        primary_region=key.primary_region,
        overlay=KeyState.CREATING,
        overlay_since=call.now,
        materials=materials,
        rotation=key.rotation,
    )
    call.changed(replica)
    body = {
        "ReplicaKeyMetadata": metadata(call, replica),
        "ReplicaPolicy": replica.policy.text,
        "ReplicaTags": [
            {"TagKey": name, "TagValue": value} for name, value in replica.tags.items()
        ],
    }
    shape = wire.operation_model("ReplicateKey").output_shape
    return call.reply(key, body=body, response=wire.logged(shape, body))


def update_primary_region(call: Call) -> Reply:
    """Swap the roles; both keys are Updating until time passes, then as they were before."""
    key = _primary(call)
    region = call.parameters["PrimaryRegion"]
    family = call.vault.related(key)
    successor = next((each for each in family if each.ref.region == region), None)
    if successor is None:
        arn = KeyRef(key.ref.account, region, key.ref.key_id, key.ref.partition).arn
        raise Refusal("NotFoundException", f"Key '{arn}' does not exist")
    if successor.state is not KeyState.ENABLED:
        raise Refusal(
            "KMSInvalidStateException", f"{successor.arn} is {successor.state}, not Enabled."
        )
    for each in (key, *family):
        each.primary_region = region
    for each in (key, successor):
        each.overlay, each.overlay_since = KeyState.UPDATING, call.now
    call.changed(key, *family)
    return call.reply(key, response=key_element(key))


def _primary(call: Call) -> Key:
    key = call.key()
    if not key.multi_region or key.replica:
        raise Refusal(
            "UnsupportedOperationException",
            f"{key.arn} is not a multi-Region primary key, which this operation needs.",
        )
    return key


OPERATIONS: dict[str, Operation] = {
    "ReplicateKey": replicate_key,
    "UpdatePrimaryRegion": update_primary_region,
}
