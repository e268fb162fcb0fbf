"""KMS's calls about imported material, one key at a time, and what its errors mean."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from monitor.aws import Aws
from monitor.clock import Clock
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.escrow import Wanted
from monitor.key import KeyRef, KeyState
from monitor.reimport.expiry import Expiry
from monitor.reimport.wrapping import SYMMETRIC, Wrapping
from monitor.repair.live import patiently

if TYPE_CHECKING:
    from types_aiobotocore_kms.type_defs import KeyMetadataTypeDef

WRONG = "IncorrectKeyMaterialException"
INVALID_STATE = "KMSInvalidStateException"
SPENT = frozenset({"ExpiredImportTokenException", "InvalidImportTokenException"})
"""Another token mends these."""
MEANINGS = {
    WRONG: "this is not the material that the key had before, or it does not fit the key",
    "ExpiredImportTokenException": "the import token is older than 24 hours: ask for a new one",
    "InvalidImportTokenException": "the import token was used already, or is another key's: ask for a"
    " new one",
    "InvalidCiphertextException": "KMS could not unwrap the material: it was wrapped with the public"
    " key of another token, or with another algorithm than was asked for",
}


class ImportedKey(msgspec.Struct, frozen=True):
    """What DescribeKey says that an import has to know."""

    key: KeyRef
    spec: str
    state: KeyState
    origin: str

    @property
    def imported(self) -> bool:
        return self.origin == "EXTERNAL"

    @property
    def symmetric(self) -> bool:
        return self.spec == SYMMETRIC


class Material(msgspec.Struct, frozen=True):
    """One material of a symmetric key, as ListKeyRotations shows it."""

    id: str
    missing: bool
    permanent: bool
    """While such a material is missing, the whole key is PendingImport."""
    current: bool


class Parameters(msgspec.Struct, frozen=True):
    """The pair that GetParametersForImport gives: for one key, one import, 24 hours."""

    key: str
    """Its ARN."""
    key_spec: str
    wrapping_algorithm: str
    wrapping_key_spec: str
    public_key: bytes
    """DER of a SubjectPublicKeyInfo."""
    import_token: bytes
    valid_to: datetime

    def __repr__(self) -> str:
        return f"<import parameters of {self.key}>"


class Imports:
    """Errors: see `monitor.errors`; their texts say what is to be done."""

    def __init__(self, aws: Aws, clock: Clock) -> None:
        self.aws = aws
        self.clock = clock

    async def keys(self, account: str, region: str) -> list[KeyRef]:
        """Every key of an account and Region, AWS's own included."""
        client = await self.aws.kms(account, region)
        found: list[KeyRef] = []
        async with self.aws.calling("kms", "ListKeys"):
            async for page in client.get_paginator("list_keys").paginate():
                found += [key for one in page["Keys"] if (key := KeyRef.parse(one["KeyArn"]))]
        return found

    async def look(self, key: KeyRef) -> ImportedKey:
        """The key as DescribeKey shows it now."""
        answer = await self.call(key, "DescribeKey", KeyId=key.arn)
        return imported_key(key, answer["KeyMetadata"])

    async def materials(self, key: KeyRef) -> list[Material]:
        """Every material of a symmetric key, the one that waits for a rotation included."""
        found: list[Material] = []
        marker: dict[str, str] = {}
        while True:
            answer = await self.call(
                key,
                "ListKeyRotations",
                KeyId=key.arn,
                IncludeKeyMaterial="ALL_KEY_MATERIAL",
                **marker,
            )
            found += [material(one) for one in answer["Rotations"]]
            if not answer.get("Truncated"):
                return found
            marker = {"Marker": answer["NextMarker"]}

    async def parameters(self, key: ImportedKey, wrapping: Wrapping) -> Parameters:
        """Ask for a public key and a token. AWS allows one such call in 4 seconds (aws-facts 3.7)."""
        answer = await self.call(
            key.key,
            "GetParametersForImport",
            KeyId=key.key.arn,
            WrappingAlgorithm=wrapping.algorithm,
            WrappingKeySpec=wrapping.key_spec,
        )
        return Parameters(
            key=key.key.arn,
            key_spec=key.spec,
            wrapping_algorithm=wrapping.algorithm,
            wrapping_key_spec=wrapping.key_spec,
            public_key=answer["PublicKey"],
            import_token=answer["ImportToken"],
            valid_to=answer["ParametersValidTo"].astimezone(UTC),
        )

    async def send(
        self,
        parameters: Parameters,
        wrapped: bytes,
        wanted: Wanted,
        expiry: Expiry,
        *,
        new: bool = False,
    ) -> str:
        """ImportKeyMaterial; the material's id, "" for all but symmetric keys.

        `new`: material that the key never had, for a symmetric key that has some already.
        """
        asked: dict[str, Any] = {}
        if new:
            asked["ImportType"] = "NEW_KEY_MATERIAL"
        elif wanted.material_id:
            asked |= {"ImportType": "EXISTING_KEY_MATERIAL", "KeyMaterialId": wanted.material_id}
        answer = await self.call(
            wanted.key,
            "ImportKeyMaterial",
            KeyId=wanted.key.arn,
            ImportToken=parameters.import_token,
            EncryptedKeyMaterial=wrapped,
            **expiry.parameters(),
            **asked,
        )
        return str(answer.get("KeyMaterialId", ""))

    async def call(self, key: KeyRef, name: str, **parameters: Any) -> Any:
        """One call, tried again for half a minute where it may pass."""
        client = await self.aws.kms(key.account, key.region)
        method = getattr(client, METHODS[name])
        try:
            async for attempt in patiently():
                with attempt:
                    async with self.aws.calling("kms", name):
                        return await method(**parameters)
        except (WorthRetrying, NotWorthRetrying) as error:
            explain(error)
        raise AssertionError("unreachable: the last attempt raises")


METHODS = {
    "DescribeKey": "describe_key",
    "GetParametersForImport": "get_parameters_for_import",
    "GetPublicKey": "get_public_key",
    "GenerateMac": "generate_mac",
    "ImportKeyMaterial": "import_key_material",
    "ListKeyRotations": "list_key_rotations",
}


def explain(error: WorthRetrying | NotWorthRetrying) -> NoReturn:
    """Raise it again, with what it means. A spent token is worth another try: with another token."""
    meaning = MEANINGS.get(error.code)
    if meaning is None:
        raise error
    kind = WorthRetrying if error.code in SPENT else type(error)
    raise kind(f"{error}: {meaning}", code=error.code) from error


def imported_key(key: KeyRef, metadata: "KeyMetadataTypeDef") -> ImportedKey:
    """DescribeKey's `KeyMetadata`. Raises `NotWorthRetrying` for a state that we do not know."""
    try:
        state = KeyState(metadata["KeyState"])
    except ValueError as error:
        fault = f"the key is {metadata['KeyState']}, a state unknown to us"
        raise NotWorthRetrying(fault) from error
    return ImportedKey(
        key,
        metadata.get("KeySpec", SYMMETRIC),
        state,
        metadata.get("Origin", "AWS_KMS"),
    )


def material(entry: Any) -> Material:
    """One entry of ListKeyRotations."""
    state = entry.get("KeyMaterialState", "")
    return Material(
        entry["KeyMaterialId"],
        missing=entry.get("ImportState") == "PENDING_IMPORT",
        permanent=state in {"CURRENT", "NON_CURRENT"},
        current=state == "CURRENT",
    )
