"""Rotation of symmetric keys: by the calendar, and on demand."""

from typing import Any

from monitor.simulator.kms.call import Call, Operation, key_element
from monitor.simulator.kms.keys import DAY, PENDING_EVERYWHERE, PENDING_ROTATION, Key, Material
from monitor.simulator.words import Refusal, Reply

MOST_ON_DEMAND = 25


def enable_key_rotation(call: Call) -> Reply:
    key = _primary(call)
    rotation = key.rotation
    changed = call.get("RotationPeriodInDays")
    if rotation.period_days is None or changed not in (None, rotation.period_days):
        rotation.period_days = rotation.last_period_days = changed or rotation.last_period_days
        rotation.next_at = call.now + rotation.period_days * DAY
    call.changed(key)
    return call.reply(key, response=key_element(key))


def disable_key_rotation(call: Call) -> Reply:
    key = _primary(call)
    key.rotation.period_days = key.rotation.next_at = None
    return call.reply(key)


def get_key_rotation_status(call: Call) -> Reply:
    key = call.key()
    rotation = key.rotation
    pending = call.sight(key).state.pending_deletion
    body: dict[str, Any] = {
        "KeyId": key.ref.key_id,
        # While deletion is pending the status reads false; a cancel brings it back.
        "KeyRotationEnabled": rotation.period_days is not None and not pending,
    }
    if rotation.period_days is not None and not pending:
        body["RotationPeriodInDays"] = rotation.period_days
        body["NextRotationDate"] = rotation.next_at
    if rotation.requested_at is not None:
        body["OnDemandRotationStartDate"] = rotation.requested_at
    return call.reply(key, body=body)


def rotate_key_on_demand(call: Call) -> Reply:
    """Starts it; the new material is current once time has passed (RotateKey event)."""
    key = _primary(call)
    if key.rotation.requested_at is not None:
        raise Refusal("ConflictException", f"{key.arn} already has a rotation in progress")
    if key.rotation.on_demand_count >= MOST_ON_DEMAND:
        raise Refusal("LimitExceededException", f"{key.arn} was rotated {MOST_ON_DEMAND} times")
    if key.external:
        _require_waiting(key)
    key.rotation.requested_at = call.now
    key.rotation.on_demand_count += 1
    call.changed(key)
    return call.reply(key, body={"KeyId": key.ref.key_id}, response={"keyId": key.ref.key_id})


def _require_waiting(key: Key) -> None:
    """Imported keys rotate to material that was imported beforehand, in all Regions."""
    if any(each.state == PENDING_ROTATION and each.secret for each in key.materials):
        return
    elsewhere = any(each.state == PENDING_EVERYWHERE for each in key.materials)
    why = "was not imported into every replica key yet" if elsewhere else "was not imported yet"
    raise Refusal("KMSInvalidStateException", f"{key.arn} new key material {why}.")


def list_key_rotations(call: Call) -> Reply:
    key = call.key()
    everything = call.get("IncludeKeyMaterial", "ROTATIONS_ONLY") == "ALL_KEY_MATERIAL"
    entries = [
        # Numbered, so that pages follow the order in which the material came.
        (f"{number:08d}", _entry(key, material))
        for number, material in enumerate(key.materials)
        if everything or material.rotated_at is not None
    ]
    return call.reply(key, body=call.vault.page(entries, "Rotations", call.parameters, 100))


def _entry(key: Key, material: Material) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "KeyId": key.ref.key_id,
        "KeyMaterialId": material.material_id,
        "KeyMaterialState": material.state,
    }
    if material.rotated_at is not None:
        entry |= {"RotationDate": material.rotated_at, "RotationType": material.rotation_type}
    if key.external:
        entry["ImportState"] = "PENDING_IMPORT" if material.secret is None else "IMPORTED"
        if material.secret is not None:
            expires = material.expires_at is not None
            entry["ExpirationModel"] = (
                "KEY_MATERIAL_EXPIRES" if expires else "KEY_MATERIAL_DOES_NOT_EXPIRE"
            )
            if expires:
                entry["ValidTo"] = material.expires_at
        if material.description:
            entry["KeyMaterialDescription"] = material.description
    return entry


def _primary(call: Call) -> Key:
    """Rotation of related multi-Region keys is set on the primary only."""
    key = call.key()
    if key.replica:
        raise Refusal(
            "UnsupportedOperationException",
            f"{key.arn} is a replica key, which is not valid for this operation.",
        )
    return key


OPERATIONS: dict[str, Operation] = {
    "EnableKeyRotation": enable_key_rotation,
    "DisableKeyRotation": disable_key_rotation,
    "GetKeyRotationStatus": get_key_rotation_status,
    "RotateKeyOnDemand": rotate_key_on_demand,
    "ListKeyRotations": list_key_rotations,
}
