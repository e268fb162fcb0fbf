"""Making, describing, enabling, disabling and deleting keys."""

from typing import Any

from monitor.key import KeyRef, KeyState
from monitor.simulator.kms import wire
from monitor.simulator.kms.call import Call, Operation, key_element
from monitor.simulator.kms.keys import DAY, Key, Sight
from monitor.simulator.kms.policies import Policy, Question, default_policy
from monitor.simulator.kms.specs import SPECS, UNKNOWN_TO_OLD_NAME, require_usage
from monitor.simulator.kms.tags import read_tags
from monitor.simulator.kms.trail import trail_time
from monitor.simulator.kms.vault import Store, new_material
from monitor.simulator.words import Refusal, Reply

# 23 April 2026, when KMS began to remember the last use of keys.
USAGE_TRACKED_SINCE = 1_776_902_400.0
STORE_ORIGINS = {"AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"}


def create_key(call: Call) -> Reply:
    given = call.parameters
    if "KeySpec" in given and "CustomerMasterKeySpec" in given:
        raise Refusal(
            "ValidationException",
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request.",
        )
    spec = given.get("KeySpec") or given.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    usage = given.get("KeyUsage", "ENCRYPT_DECRYPT")
    require_usage(spec, usage)
    origin = given.get("Origin", "AWS_KMS")
    multi_region = given.get("MultiRegion", False)
    store = _store_of(call, origin, spec, multi_region=multi_region)
    ref = call.vault.new_key_ref(call.account, call.region, multi_region=multi_region)
    key = Key(
        ref,
        call.now,
        policy_of(call, ref),
        spec=spec,
        usage=usage,
        origin=origin,
        description=given.get("Description", ""),
        tags=read_tags(given.get("Tags", [])),
        primary_region=call.region if multi_region else "",
        store_id=store.store_id if store else "",
        cluster_id=store.cluster_id if store else "",
        xks_key_id=given.get("XksKeyId", ""),
    )
    if origin != "EXTERNAL" and (key.symmetric or usage == "GENERATE_VERIFY_MAC"):
        key.materials.append(new_material(key, call.vault.rng.randbytes(32)))
    call.changed(key)
    body = {"KeyMetadata": metadata(call, key)}
    reply = call.reply(key, body=body, response=_logged_metadata("CreateKey", body))
    # CloudTrail shows the spec under its old name and its new one, whichever was given.
    names = {"KeySpec": spec, "CustomerMasterKeySpec": spec}
    reply.request_parameters = wire.logged_request("CreateKey", given | names)
    return reply


def _store_of(call: Call, origin: str, spec: str, *, multi_region: bool) -> Store | None:
    store_id = call.get("CustomKeyStoreId")
    if origin not in STORE_ORIGINS:
        if store_id is not None or "XksKeyId" in call.parameters:
            raise Refusal("ValidationException", f"Origin {origin} takes no custom key store")
        return None
    if store_id is None:
        raise Refusal("ValidationException", f"Origin {origin} requires a CustomKeyStoreId")
    store = call.vault.stores.get(store_id)
    if store is None or (store.account, store.region) != (call.account, call.region):
        raise Refusal("CustomKeyStoreNotFoundException", f"{store_id} does not exist")
    if multi_region or spec != "SYMMETRIC_DEFAULT" or store.kind != origin:
        raise Refusal(
            "UnsupportedOperationException",
            "A custom key store holds only symmetric encryption keys of one Region",
        )
    if not store.connected:
        raise Refusal("CustomKeyStoreInvalidStateException", f"{store_id} is not connected")
    if (origin == "EXTERNAL_KEY_STORE") != ("XksKeyId" in call.parameters):
        raise Refusal("ValidationException", "XksKeyId goes with Origin EXTERNAL_KEY_STORE")
    return store


def policy_of(call: Call, ref: KeyRef) -> Policy:
    """The key policy that a request brings, or the default one.

    Raises MalformedPolicyDocumentException when the caller could not change it ever again, unless
    the request bypasses that check.
    """
    text = call.get("Policy")
    if text is None:
        return default_policy(ref.account, ref.partition)
    policy = Policy.parse(text)
    if not call.get("BypassPolicyLockoutSafetyCheck", False):
        question = Question("PutKeyPolicy", call.caller, ref.arn, ref.region)
        if policy.denies(question) or not policy.allows(question):
            raise Refusal(
                "MalformedPolicyDocumentException",
                "The new key policy will not allow you to update the key policy in the future.",
            )
    return policy


def describe_key(call: Call) -> Reply:
    key = call.key(aliases=True)
    return call.reply(key, body={"KeyMetadata": metadata(call, key)})


def metadata(call: Call, key: Key) -> dict[str, Any]:
    """KeyMetadata of DescribeKey, CreateKey and ReplicateKey."""
    sight = call.sight(key)
    body: dict[str, Any] = {
        "AWSAccountId": key.ref.account,
        "KeyId": key.ref.key_id,
        "Arn": key.arn,
        "CreationDate": key.created_at,
        "Enabled": sight.state is KeyState.ENABLED,
        "Description": key.description,
        "KeyUsage": key.usage,
        "KeyState": str(sight.state),
        "Origin": key.origin,
        "KeyManager": key.manager,
        "KeySpec": key.spec,
        "MultiRegion": key.multi_region,
        **SPECS[key.spec].algorithms(key.usage),
    }
    if key.spec not in UNKNOWN_TO_OLD_NAME:
        body["CustomerMasterKeySpec"] = key.spec
    if key.multi_region:
        body["MultiRegionConfiguration"] = _family(call, key)
    if sight.deletion_date is not None:
        body["DeletionDate"] = sight.deletion_date
    elif sight.window is not None:
        body["PendingDeletionWindowInDays"] = sight.window
    if key.store_id:
        body["CustomKeyStoreId"] = key.store_id
    if key.cluster_id:
        body["CloudHsmClusterId"] = key.cluster_id
    if key.xks_key_id:
        body["XksKeyConfiguration"] = {"Id": key.xks_key_id}
    body.update(_about_material(key, sight))
    return body


def _about_material(key: Key, sight: Sight) -> dict[str, Any]:
    body: dict[str, Any] = {}
    current = key.current_material
    if key.symmetric and current is not None:
        body["CurrentKeyMaterialId"] = current.material_id
    if key.external and sight.state is not KeyState.PENDING_IMPORT:
        expiries = [each.expires_at for each in key.materials if each.expires_at is not None]
        body["ExpirationModel"] = (
            "KEY_MATERIAL_EXPIRES" if expiries else "KEY_MATERIAL_DOES_NOT_EXPIRE"
        )
        if expiries:
            body["ValidTo"] = min(expiries)
    return body


def _family(call: Call, key: Key) -> dict[str, Any]:
    members = [{"Arn": each.arn, "Region": each.ref.region} for each in call.vault.related(key)]
    members.append({"Arn": key.arn, "Region": key.ref.region})
    primary = [each for each in members if each["Region"] == key.primary_region]
    family: dict[str, Any] = {
        "MultiRegionKeyType": "REPLICA" if key.replica else "PRIMARY",
        "ReplicaKeys": sorted(
            (each for each in members if each["Region"] != key.primary_region),
            key=lambda each: each["Region"],
        ),
    }
    if primary:
        family["PrimaryKey"] = primary[0]
    return family


def _logged_metadata(operation: str, body: dict[str, Any]) -> dict[str, Any]:
    elements: dict[str, Any] = wire.logged(wire.operation_model(operation).output_shape, body)
    return elements


def list_keys(call: Call) -> Reply:
    entries = [
        (ref.key_id, {"KeyId": ref.key_id, "KeyArn": ref.arn})
        for ref, key in call.vault.keys.items()
        if (ref.account, ref.region) == (call.account, call.region) and _visible(call, key)
    ]
    return call.reply(body=call.vault.page(entries, "Keys", call.parameters, 100))


def _visible(call: Call, key: Key) -> bool:
    sight = key.sight(call.now - call.lag)
    return sight is not None and sight.state is not KeyState.GONE


def enable_key(call: Call) -> Reply:
    key = call.key()
    key.enabled = True
    call.changed(key)
    return call.reply(key, response=key_element(key))


def disable_key(call: Call) -> Reply:
    key = call.key()
    key.enabled = False
    call.changed(key)
    return call.reply(key, response=key_element(key))


def schedule_key_deletion(call: Call) -> Reply:
    window = call.get("PendingWindowInDays", 30)
    # The model bounds it by 1-365 only; the service itself holds to the documented 7-30.
    bound = ("greater", 7) if window < 7 else ("less", 30)
    if not 7 <= window <= 30:
        raise Refusal(
            "ValidationException",
            f"1 validation error detected: Value '{window}' at 'pendingWindowInDays' failed to "
            f"satisfy constraint: Member must have value {bound[0]} than or equal to {bound[1]}",
        )
    key = call.key()
    waits = key.multi_region and not key.replica and bool(call.vault.related(key))
    key.window = window
    key.deletion_date = None if waits else call.now + window * DAY
    call.changed(key)
    body = {"KeyId": key.arn, "KeyState": str(key.state), "PendingWindowInDays": window}
    response = {"keyId": key.arn, "keyState": str(key.state), "pendingWindowInDays": window}
    if key.deletion_date is not None:
        body["DeletionDate"] = key.deletion_date
        response["deletionDate"] = trail_time(key.deletion_date)
    return call.reply(key, body=body, response=response)


def cancel_key_deletion(call: Call) -> Reply:
    """Leaves the key Disabled, never Enabled; what its material lacks shows by itself."""
    key = call.key()
    key.window = key.deletion_date = None
    key.enabled = False
    call.changed(key)
    return call.reply(key, body={"KeyId": key.arn}, response=key_element(key))


def update_key_description(call: Call) -> Reply:
    key = call.key()
    key.description = call.parameters["Description"]
    return call.reply(key)


def get_key_last_usage(call: Call) -> Reply:
    key = call.key()
    body = {
        "KeyId": key.arn,
        "TrackingStartDate": USAGE_TRACKED_SINCE,
        "KeyCreationDate": key.created_at,
    }
    if key.last_usage is not None:
        body["KeyLastUsage"] = key.last_usage
    return call.reply(key, body=body)


OPERATIONS: dict[str, Operation] = {
    "CreateKey": create_key,
    "DescribeKey": describe_key,
    "ListKeys": list_keys,
    "EnableKey": enable_key,
    "DisableKey": disable_key,
    "ScheduleKeyDeletion": schedule_key_deletion,
    "CancelKeyDeletion": cancel_key_deletion,
    "UpdateKeyDescription": update_key_description,
    "GetKeyLastUsage": get_key_last_usage,
}
