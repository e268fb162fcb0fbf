"""What time does to keys by itself: deletion, expiry, rotation, the end of Creating and Updating."""

from monitor.simulator.kms.keys import (
    CURRENT,
    DAY,
    NON_CURRENT,
    PENDING_ROTATION,
    Key,
    Material,
)
from monitor.simulator.kms.vault import Vault, new_material
from monitor.simulator.words import ServiceEvent


def age(vault: Vault, now: float, *, finish: bool) -> None:
    """Let time pass until `now`.

    `finish` also ends what passes by itself (Creating, Updating, an on-demand rotation) although
    no time has passed since it began.
    """
    for key in vault.due(now):
        if not key.gone:
            _ripen(vault, key, now)
    for key in sorted(vault.passing, key=lambda each: each.arn):
        began = key.passing_since
        if finish or (began is not None and began < now):
            _finish_passing(vault, key, now)


def _ripen(vault: Vault, key: Key, now: float) -> None:
    expired = [
        each for each in key.materials if each.expires_at is not None and each.expires_at <= now
    ]
    for material in expired:
        _expire(vault, key, material)
    if key.deletion_date is not None and key.deletion_date <= now:
        _delete(vault, key)
        return
    _rotate_automatically(vault, key, now)
    vault.changed(key, now)


def _finish_passing(vault: Vault, key: Key, now: float) -> None:
    if key.overlay_since is not None:
        key.overlay = key.overlay_since = None
    if key.rotation.requested_at is not None and not key.replica:
        key.rotation.requested_at = None
        rotate(vault, key, now, "ON_DEMAND")
    vault.passing.discard(key)
    vault.changed(key, now)


def _delete(vault: Vault, key: Key) -> None:
    at = key.deletion_date
    assert at is not None
    family = vault.related(key)
    key.gone = True
    vault.forget(key)
    vault.passing.discard(key)
    vault.changed(key, at)
    vault.events.append(
        ServiceEvent(
            "DeleteKey",
            key.ref.account,
            key.ref.region,
            key.arn,
            at,
            response_elements={"keyId": key.arn},
        )
    )
    # The waiting period of a primary starts when its last replica is really deleted.
    if len(family) == 1:
        last = family[0]
        if last.window is not None and last.deletion_date is None:
            last.deletion_date = at + last.window * DAY
            vault.changed(last, at)


def _expire(vault: Vault, key: Key, material: Material) -> None:
    at = material.expires_at
    assert at is not None
    remove_material(vault, key, material)
    vault.changed(key, at)
    vault.events.append(
        ServiceEvent(
            "DeleteExpiredKeyMaterial",
            key.ref.account,
            key.ref.region,
            key.arn,
            at,
            service_event_details={
                "keyId": key.ref.key_id,
                "keyMaterialId": material.material_id,
            },
        )
    )


def remove_material(vault: Vault, key: Key, material: Material) -> None:
    """Take imported material away, by hand or because it expired.

    Permanent material leaves its id behind; material that still waits for its rotation vanishes,
    in a primary also from the replicas (API reference of DeleteImportedKeyMaterial).
    """
    material.expires_at = None
    if material.permanent or key.replica:
        material.secret = None
        return
    for each in (key, *vault.related(key)):
        each.materials = [
            other for other in each.materials if other.material_id != material.material_id
        ]


def _rotate_automatically(vault: Vault, key: Key, now: float) -> None:
    rotation = key.rotation
    # Rotation rests while the key is disabled or pending deletion, and is made up for later.
    while (due := key.rotation_due) is not None and due <= now:
        assert rotation.period_days is not None
        rotation.next_at = due + rotation.period_days * DAY
        rotate(vault, key, due, "AUTOMATIC")


def rotate(vault: Vault, key: Key, at: float, rotation_type: str) -> None:
    """Make newer material current, in all related keys, and say so in a RotateKey event."""
    previous = key.current_material
    if key.external:
        waiting = next((each for each in key.materials if each.state == PENDING_ROTATION), None)
        if waiting is None:
            return
        for each in (key, *vault.related(key)):
            _make_current(each, waiting.material_id, at, rotation_type)
            vault.changed(each, at)
    else:
        # A list that the related keys share.
        key.materials.append(new_material(key, vault.rng.randbytes(32), state=PENDING_ROTATION))
        _make_current(key, key.materials[-1].material_id, at, rotation_type)
    current = key.current_material
    vault.events.append(
        ServiceEvent(
            "RotateKey",
            key.ref.account,
            key.ref.region,
            key.arn,
            at,
            service_event_details={
                "keyId": key.ref.key_id,
                "rotationType": rotation_type,
                "keyOrigin": key.origin,
                "previousKeyMaterialId": previous.material_id if previous else "",
                "currentKeyMaterialId": current.material_id if current else "",
            },
        )
    )


def _make_current(key: Key, material_id: str, at: float, rotation_type: str) -> None:
    for each in key.materials:
        if each.material_id == material_id:
            each.state, each.rotated_at, each.rotation_type = CURRENT, at, rotation_type
        elif each.state == CURRENT:
            each.state = NON_CURRENT
