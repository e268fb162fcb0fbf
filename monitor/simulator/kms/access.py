"""Key policies and grants: reading and changing who may use a key."""

import base64
from typing import Any

from monitor.simulator.kms.call import Call, Operation
from monitor.simulator.kms.grants import Grant
from monitor.simulator.kms.keys import Key
from monitor.simulator.kms.lifecycle import policy_of
from monitor.simulator.kms.usage import stop_dry_run
from monitor.simulator.kms.vault import partition_of
from monitor.simulator.words import Refusal, Reply

POLICY_NAME = "default"
MOST_GRANTS = 50_000

_COMMON = {"CreateGrant", "RetireGrant", "DescribeKey"}
_PUBLIC = {"GetPublicKey"}
_GRANTABLE = {
    "GENERATE_VERIFY_MAC": _COMMON | {"GenerateMac", "VerifyMac"},
    "SIGN_VERIFY": _COMMON | _PUBLIC | {"Sign", "Verify"},
    "KEY_AGREEMENT": _COMMON | _PUBLIC | {"DeriveSharedSecret"},
}
_ENCRYPTION = {"Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo"}
_SYMMETRIC = {
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
}


# -- policies ----------------------------------------------------------------------------------


def put_key_policy(call: Call) -> Reply:
    name = call.get("PolicyName", POLICY_NAME)
    if name != POLICY_NAME:
        # `AWS_RAM` exists on shared keys, but is not for callers to write.
        raise Refusal("ValidationException", f"The only valid policy name is {POLICY_NAME}")
    key = call.key()
    key.policy = policy_of(call, key.ref)
    return call.reply(key)


def get_key_policy(call: Call) -> Reply:
    key = call.key()
    if call.get("PolicyName", POLICY_NAME) != POLICY_NAME:
        raise Refusal("NotFoundException", "No such policy exists")
    return call.reply(key, body={"Policy": key.policy.text, "PolicyName": POLICY_NAME})


def list_key_policies(call: Call) -> Reply:
    key = call.key()
    entries = [(POLICY_NAME, POLICY_NAME)]
    return call.reply(key, body=call.vault.page(entries, "PolicyNames", call.parameters, 100))


# -- grants ------------------------------------------------------------------------------------


def create_grant(call: Call) -> Reply:
    given = call.parameters
    _exactly_one(given, "GranteePrincipal", "GranteeServicePrincipal")
    if "RetiringPrincipal" in given and "RetiringServicePrincipal" in given:
        raise Refusal("ValidationException", "Name one kind of retiring principal, not both")
    key = call.key()
    operations = tuple(dict.fromkeys(given["Operations"]))
    impossible = sorted(set(operations) - _grantable(key))
    if impossible:
        raise Refusal(
            "ValidationException",
            f"The operations {', '.join(impossible)} are not valid for {key.arn}",
        )
    wanted = Grant(
        call.vault.rng.randbytes(32).hex(),
        base64.b64encode(call.vault.rng.randbytes(96)).decode("ascii"),
        call.now,
        f"arn:{partition_of(call.region)}:iam::{call.account}:root",
        operations,
        name=given.get("Name", ""),
        grantee=given.get("GranteePrincipal", ""),
        grantee_service=given.get("GranteeServicePrincipal", ""),
        retirer=given.get("RetiringPrincipal", ""),
        retirer_service=given.get("RetiringServicePrincipal", ""),
        constraints=given.get("Constraints", {}),
    )
    stop_dry_run(call)
    grant = _same_named(key, wanted)
    if grant is None:
        if len(key.grants) >= MOST_GRANTS:
            raise Refusal("LimitExceededException", f"{key.arn} has {MOST_GRANTS} grants")
        grant = wanted
        key.grants[grant.grant_id] = grant
        call.vault.grant_tokens[grant.token] = (key, grant.grant_id)
    return call.reply(
        key,
        body={"GrantId": grant.grant_id, "GrantToken": grant.token},
        response={"grantId": grant.grant_id, "keyId": key.arn},
    )


def _grantable(key: Key) -> set[str]:
    if key.usage in _GRANTABLE:
        return _GRANTABLE[key.usage]
    return _COMMON | _ENCRYPTION | (_SYMMETRIC if key.symmetric else _PUBLIC)


def _same_named(key: Key, wanted: Grant) -> Grant | None:
    """A retry that names its grant gets the grant that it made before (API reference, Name)."""
    if not wanted.name:
        return None
    for grant in key.grants.values():
        alike = {
            name
            for name in ("name", "operations", "grantee", "grantee_service", "retirer",
                         "retirer_service", "constraints")
            if getattr(grant, name) == getattr(wanted, name)
        }  # fmt: skip
        if len(alike) == 7:
            return grant
    return None


def list_grants(call: Call) -> Reply:
    key = call.key()
    wanted = {
        name: call.get(name)
        for name in ("GrantId", "GranteePrincipal", "GranteeServicePrincipal")
        if name in call.parameters
    }
    entries = [
        (grant_id, entry)
        for grant_id, entry in (
            (each.grant_id, each.entry(key.arn)) for each in key.grants.values()
        )
        if all(entry.get(name) == value for name, value in wanted.items())
    ]
    return call.reply(key, body=call.vault.page(entries, "Grants", call.parameters, 50))


def list_retirable_grants(call: Call) -> Reply:
    _exactly_one(call.parameters, "RetiringPrincipal", "RetiringServicePrincipal")
    principal = call.get("RetiringPrincipal", "")
    service = call.get("RetiringServicePrincipal", "")
    entries = [
        (grant_id, grant.entry(key.arn))
        for key in call.vault.keys.values()
        if key.ref.region == call.region
        for grant_id, grant in key.grants.items()
        if (grant.retirer, grant.retirer_service) == (principal, service)
        and call.account in {key.ref.account, grant.issuing_account.split(":")[4]}
    ]
    return call.reply(body=call.vault.page(entries, "Grants", call.parameters, 50))


def revoke_grant(call: Call) -> Reply:
    key = call.key()
    grant = _grant(key, call.parameters["GrantId"])
    stop_dry_run(call)
    _remove(call, key, grant)
    return call.reply(key)


def retire_grant(call: Call) -> Reply:
    """By the grant's token, or by key and grant id; by those whom the grant names, or the account.

    CloudTrail shows no request parameters for it, only the grant's id on the side.
    """
    key, grant = _retired(call)
    if not grant.retirable_by(call.caller):
        call.permit(key)
    stop_dry_run(call)
    _remove(call, key, grant)
    reply = call.reply(key, extra={"grantId": grant.grant_id})
    reply.request_parameters = {}
    return reply


def _retired(call: Call) -> tuple[Key, Grant]:
    token = call.get("GrantToken")
    if token is not None:
        place = call.vault.grant_tokens.get(token)
        if place is None or place[0].ref.region != call.region:
            raise Refusal("InvalidGrantTokenException", "The grant token is not valid.")
        key, grant_id = place
        return key, _grant(key, grant_id)
    if "KeyId" not in call.parameters or "GrantId" not in call.parameters:
        raise Refusal("ValidationException", "GrantToken, or KeyId and GrantId, must be given")
    key = call.find(call.parameters["KeyId"])
    return key, _grant(key, call.parameters["GrantId"])


def _grant(key: Key, grant_id: str) -> Grant:
    grant = key.grants.get(grant_id)
    if grant is None:
        raise Refusal("NotFoundException", f"Grant ID {grant_id} not found")
    return grant


def _remove(call: Call, key: Key, grant: Grant) -> None:
    del key.grants[grant.grant_id]
    call.vault.grant_tokens.pop(grant.token, None)


def _exactly_one(given: dict[str, Any], *members: str) -> None:
    if sum(member in given for member in members) != 1:
        raise Refusal("ValidationException", f"Exactly one of {', '.join(members)} must be given")


OPERATIONS: dict[str, Operation] = {
    "PutKeyPolicy": put_key_policy,
    "GetKeyPolicy": get_key_policy,
    "ListKeyPolicies": list_key_policies,
    "CreateGrant": create_grant,
    "ListGrants": list_grants,
    "ListRetirableGrants": list_retirable_grants,
    "RevokeGrant": revoke_grant,
    "RetireGrant": retire_grant,
}
