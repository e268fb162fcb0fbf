"""Every cell of "which operation in which key state", written by hand from AWS's table.

The kinds of keys stand for the notes that depend on the type of the key: `symmetric` is a
multi-Region primary with a replica (so that every operation makes sense for it), `external` has
imported material, `store` lives in a custom key store, `ecc` signs and `hmac` makes codes.
"""

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from monitor.key import KeyState
from monitor.simulator.kms import states
from monitor.simulator.words import Refusal

if TYPE_CHECKING:
    from tests.unit.simulator.kms.conftest import World

KINDS: dict[str, dict[str, Any]] = {
    "symmetric": {"MultiRegion": True},
    "external": {"Origin": "EXTERNAL"},
    "store": {"Origin": "AWS_CLOUDHSM"},
    "ecc": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
    "hmac": {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
}

STATES = [
    "Enabled",
    "Disabled",
    "PendingDeletion",
    "PendingReplicaDeletion",
    "PendingImport",
    "Unavailable",
    "Creating",
    "Updating",
]

REFUSALS = {
    "dis": ("DisabledException", "is disabled."),
    "del": ("KMSInvalidStateException", "is pending deletion."),
    "rep": ("KMSInvalidStateException", "is pending replica deletion."),
    "not": ("KMSInvalidStateException", "is not pending deletion."),
    "imp": ("KMSInvalidStateException", "is pending import."),
    "una": ("KMSInvalidStateException", "is unavailable."),
    "cre": ("KMSInvalidStateException", "is creating."),
    "upd": ("KMSInvalidStateException", "is updating."),
    "uns": ("UnsupportedOperationException", "which is not valid for this operation."),
}

# fmt: off
#   operation                        kind        Enab  Disab PDel  PRepl PImp  Unav  Crea  Updg
EXPECTED = """
    CancelKeyDeletion                symmetric   not   not   ok    ok    not   not   not   not
    DisableKey                       symmetric   ok    ok    del   rep   imp   ok    cre   upd
    EnableKey                        symmetric   ok    ok    del   rep   imp   ok    cre   upd
    ScheduleKeyDeletion              symmetric   ok    ok    del   rep   ok    ok    ok    upd
    PutKeyPolicy                     symmetric   ok    ok    ok    ok    ok    ok    ok    ok
    RetireGrant                      symmetric   ok    ok    ok    ok    ok    ok    ok    ok
    RevokeGrant                      symmetric   ok    ok    ok    ok    ok    ok    ok    ok
    DeleteAlias                      symmetric   ok    ok    ok    ok    ok    ok    ok    ok
    DescribeKey                      symmetric   ok    ok    ok    ok    ok    ok    ok    ok
    GetKeyPolicy                     symmetric   ok    ok    ok    ok    ok    ok    ok    ok
    ListAliases                      symmetric   ok    ok    ok    ok    ok    ok    ok    ok
    ListGrants                       symmetric   ok    ok    ok    ok    ok    ok    ok    ok
    ListKeyPolicies                  symmetric   ok    ok    ok    ok    ok    ok    ok    ok
    ListResourceTags                 symmetric   ok    ok    ok    ok    ok    ok    ok    ok
    GetKeyLastUsage                  symmetric   ok    ok    ok    ok    ok    ok    ok    ok
    CreateAlias                      symmetric   ok    ok    del   rep   ok    ok    ok    ok
    UpdateAlias                      symmetric   ok    ok    del   rep   ok    ok    ok    ok
    CreateGrant                      symmetric   ok    dis   del   rep   imp   ok    cre   ok
    TagResource                      symmetric   ok    ok    del   rep   ok    ok    ok    ok
    UntagResource                    symmetric   ok    ok    del   rep   ok    ok    ok    ok
    UpdateKeyDescription             symmetric   ok    ok    del   rep   ok    ok    ok    ok
    EnableKeyRotation                symmetric   ok    dis   del   rep   uns   uns   cre   ok
    EnableKeyRotation                external    uns   uns   uns   uns   uns   uns   cre   uns
    EnableKeyRotation                store       uns   uns   uns   uns   uns   uns   cre   uns
    EnableKeyRotation                ecc         uns   uns   uns   uns   uns   uns   cre   uns
    DisableKeyRotation               symmetric   ok    dis   del   rep   uns   uns   cre   ok
    DisableKeyRotation               external    uns   uns   uns   uns   uns   uns   cre   uns
    DisableKeyRotation               store       uns   uns   uns   uns   uns   uns   cre   uns
    DisableKeyRotation               hmac        uns   uns   uns   uns   uns   uns   cre   uns
    RotateKeyOnDemand                symmetric   ok    dis   del   rep   imp   uns   cre   ok
    RotateKeyOnDemand                external    ok    dis   del   rep   imp   uns   cre   ok
    RotateKeyOnDemand                store       uns   uns   uns   uns   imp   uns   cre   uns
    RotateKeyOnDemand                ecc         uns   uns   uns   uns   imp   uns   cre   uns
    GetKeyRotationStatus             symmetric   ok    ok    ok    ok    uns   uns   ok    ok
    GetKeyRotationStatus             external    ok    ok    ok    ok    uns   uns   ok    ok
    GetKeyRotationStatus             store       uns   uns   uns   uns   uns   uns   uns   uns
    GetKeyRotationStatus             ecc         uns   uns   uns   uns   uns   uns   uns   uns
    ListKeyRotations                 symmetric   ok    ok    ok    ok    ok    uns   ok    ok
    ListKeyRotations                 external    ok    ok    ok    ok    ok    uns   ok    ok
    ListKeyRotations                 store       uns   uns   uns   uns   ok    uns   uns   uns
    GetParametersForImport           symmetric   uns   uns   uns   uns   uns   uns   cre   upd
    GetParametersForImport           external    ok    ok    del   rep   ok    uns   cre   upd
    GetParametersForImport           store       uns   uns   uns   uns   uns   uns   cre   upd
    ImportKeyMaterial                symmetric   uns   uns   uns   uns   uns   uns   cre   uns
    ImportKeyMaterial                external    ok    ok    del   rep   ok    uns   cre   ok
    DeleteImportedKeyMaterial        symmetric   uns   uns   uns   uns   uns   uns   cre   upd
    DeleteImportedKeyMaterial        external    ok    ok    ok    ok    ok    uns   cre   upd
    ReplicateKey                     symmetric   ok    dis   del   rep   imp   una   cre   upd
    UpdatePrimaryRegion              symmetric   ok    dis   del   rep   imp   una   cre   ok
    Encrypt                          symmetric   ok    dis   del   rep   imp   una   cre   ok
    Encrypt                          store       ok    dis   del   rep   imp   una   cre   ok
    Decrypt                          symmetric   ok    dis   del   rep   imp   una   cre   ok
    Decrypt                          external    ok    dis   del   rep   imp   una   cre   ok
    ReEncrypt                        symmetric   ok    dis   del   rep   imp   una   cre   ok
    GenerateDataKey                  symmetric   ok    dis   del   rep   imp   una   cre   ok
    GenerateDataKeyWithoutPlaintext  symmetric   ok    dis   del   rep   imp   una   cre   ok
    Sign                             ecc         ok    dis   del   rep   imp   una   cre   ok
    Verify                           ecc         ok    dis   del   rep   imp   una   cre   ok
    GetPublicKey                     ecc         ok    dis   del   rep   imp   una   cre   ok
    GenerateMac                      hmac        ok    dis   del   rep   imp   una   cre   ok
    VerifyMac                        hmac        ok    dis   del   rep   imp   una   cre   ok
"""
# fmt: on

ROWS = [row.split() for row in EXPECTED.strip().splitlines()]
CELLS = [
    pytest.param(operation, kind, state, cell, id=f"{operation}-{kind}-{state}-{cell}")
    for operation, kind, *cells in ROWS
    for state, cell in zip(STATES, cells, strict=True)
]

MESSAGE = base64.b64encode(b"hello").decode()


class Subject:
    """A key of one kind that has everything an operation could need, before its state is forced."""

    def __init__(self, world: "World", kind: str) -> None:
        self.world = world
        more = dict(KINDS[kind])
        if kind == "store":
            more["CustomKeyStoreId"] = world.connected_store()
        self.key = world.create(**more)
        self.other = world.create()
        self.wrapped: dict[str, str] = {}
        self.made: dict[str, Any] = {}
        if kind == "external":
            world.import_material(self.key)
            world.import_material(self.key, b"n" * 32, ImportType="NEW_KEY_MATERIAL")
            self.wrapped = world.wrapped(self.key, b"m" * 32)
        if kind == "symmetric":
            world.call("ReplicateKey", KeyId=self.key, ReplicaRegion=world.other_region)
            world.kms.tick()
        if kind in {"symmetric", "external", "store"}:
            self.made = world.call("Encrypt", KeyId=self.key, Plaintext=MESSAGE).body
        if kind == "ecc":
            self.made = self.call("Sign").body
        if kind == "hmac":
            self.made = self.call("GenerateMac").body
        self.grant = world.call(
            "CreateGrant",
            KeyId=self.key,
            GranteePrincipal="arn:aws:iam::111122223333:role/worker",
            Operations=["DescribeKey"],
        ).body
        world.call("CreateAlias", AliasName="alias/mine", TargetKeyId=self.key)
        if kind not in {"ecc", "hmac"}:
            world.call("CreateAlias", AliasName="alias/movable", TargetKeyId=self.other)

    def call(self, operation: str) -> Any:
        make = PARAMETERS.get(operation)
        parameters = {"KeyId": self.key} if make is None else make(self)
        return self.world.call(operation, **parameters)


PARAMETERS: dict[str, Callable[[Subject], dict[str, Any]]] = {
    "PutKeyPolicy": lambda s: {
        "KeyId": s.key,
        "Policy": s.world.call("GetKeyPolicy", KeyId=s.other).body["Policy"],
    },
    "RetireGrant": lambda s: {"GrantToken": s.grant["GrantToken"]},
    "RevokeGrant": lambda s: {"KeyId": s.key, "GrantId": s.grant["GrantId"]},
    "DeleteAlias": lambda _: {"AliasName": "alias/mine"},
    "CreateAlias": lambda s: {"AliasName": "alias/new", "TargetKeyId": s.key},
    "UpdateAlias": lambda s: {"AliasName": "alias/movable", "TargetKeyId": s.key},
    "CreateGrant": lambda s: {
        "KeyId": s.key,
        "GranteePrincipal": "arn:aws:iam::111122223333:role/worker",
        "Operations": ["DescribeKey"],
    },
    "TagResource": lambda s: {"KeyId": s.key, "Tags": [{"TagKey": "a", "TagValue": "b"}]},
    "UntagResource": lambda s: {"KeyId": s.key, "TagKeys": ["a"]},
    "UpdateKeyDescription": lambda s: {"KeyId": s.key, "Description": "new"},
    "GetParametersForImport": lambda s: {
        "KeyId": s.key,
        "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
        "WrappingKeySpec": "RSA_2048",
    },
    "ImportKeyMaterial": lambda s: {
        "KeyId": s.key,
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
        **(s.wrapped or {"ImportToken": MESSAGE, "EncryptedKeyMaterial": MESSAGE}),
    },
    "ReplicateKey": lambda s: {"KeyId": s.key, "ReplicaRegion": "ap-south-1"},
    "UpdatePrimaryRegion": lambda s: {"KeyId": s.key, "PrimaryRegion": s.world.other_region},
    "Encrypt": lambda s: {"KeyId": s.key, "Plaintext": MESSAGE},
    "Decrypt": lambda s: {"CiphertextBlob": s.made["CiphertextBlob"]},
    "ReEncrypt": lambda s: {
        "CiphertextBlob": s.made["CiphertextBlob"],
        "DestinationKeyId": s.other,
    },
    "GenerateDataKey": lambda s: {"KeyId": s.key, "KeySpec": "AES_256"},
    "GenerateDataKeyWithoutPlaintext": lambda s: {"KeyId": s.key, "NumberOfBytes": 24},
    "Sign": lambda s: {"KeyId": s.key, "Message": MESSAGE, "SigningAlgorithm": "ECDSA_SHA_256"},
    "Verify": lambda s: {
        "KeyId": s.key,
        "Message": MESSAGE,
        "Signature": s.made["Signature"],
        "SigningAlgorithm": "ECDSA_SHA_256",
    },
    "GenerateMac": lambda s: {"KeyId": s.key, "Message": MESSAGE, "MacAlgorithm": "HMAC_SHA_256"},
    "VerifyMac": lambda s: {
        "KeyId": s.key,
        "Message": MESSAGE,
        "Mac": s.made["Mac"],
        "MacAlgorithm": "HMAC_SHA_256",
    },
}


@pytest.mark.parametrize(("operation", "kind", "state", "cell"), CELLS)
def test_cell(world: "World", operation: str, kind: str, state: str, cell: str) -> None:
    subject = Subject(world, kind)
    world.kms.force_state(subject.key, state)
    if cell == "ok":
        subject.call(operation)
        return
    with pytest.raises(Refusal) as caught:
        subject.call(operation)
    code, message = REFUSALS[cell]
    assert caught.value.code == code
    assert caught.value.message.startswith(f"{subject.key} ")
    assert caught.value.message.endswith(message)
    # Refused means refused: nothing has moved.
    assert world.kms.state_of(subject.key) == state


def test_every_operation_of_the_table_is_walked() -> None:
    assert {row[0] for row in ROWS} == {operation for operation, _ in states.TABLE}


def test_every_state_but_gone_is_walked() -> None:
    assert set(STATES) == {str(state) for state in KeyState} - {"Gone"}


def test_an_alias_can_be_moved_away_from_a_key_that_is_pending_deletion(world: "World") -> None:
    old, new = world.create(), world.create()
    world.call("CreateAlias", AliasName="alias/payments", TargetKeyId=old)
    world.call("ScheduleKeyDeletion", KeyId=old)
    world.call("UpdateAlias", AliasName="alias/payments", TargetKeyId=new)
    assert world.describe("alias/payments")["Arn"] == new


def test_a_failed_use_shows_the_key_in_cloudtrail_and_a_failed_control_call_does_not(
    world: "World",
) -> None:
    subject = Subject(world, "symmetric")
    world.call("ScheduleKeyDeletion", KeyId=subject.key)
    use = world.refused(
        "Decrypt", CiphertextBlob=subject.made["CiphertextBlob"], EncryptionContext={"app": "x"}
    )
    assert use.resources == (subject.key,)
    assert use.request_parameters == {
        "encryptionContext": {"app": "x"},
        "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }
    assert use.read_only
    control = world.refused("DisableKey", KeyId=subject.key)
    assert (control.resources, control.request_parameters) == ((), None)
    assert not control.read_only
