"""A KMS with a clock that stands still, and a caller who may do anything in one account."""

import base64
import random
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from monitor.simulator.kms import Kms, wire
from monitor.simulator.words import Caller, Refusal, Reply

DAY = 86400.0


class World:
    account = "111122223333"
    stranger_account = "444455556666"
    region = "eu-west-1"
    other_region = "us-east-1"

    def __init__(self) -> None:
        self.time = 1_795_000_000.0
        # Seeded, so that a failure repeats.
        self.kms = Kms(now=lambda: self.time, rng=random.Random(7))
        self.admin = user(self.account, "admin")
        self.mallory = user(self.account, "mallory")
        self.stranger = user(self.stranger_account, "eve")

    def call(
        self, operation: str, *, caller: Caller | None = None, region: str = "", **parameters: Any
    ) -> Reply:
        caller = caller or self.admin
        reply = self.kms.call(
            operation,
            parameters,
            caller=caller,
            account=caller.account,
            region=region or self.region,
        )
        self.check(operation, reply)
        return reply

    @staticmethod
    def check(operation: str, reply: Reply) -> None:
        """Every answer in every test has botocore's shape, and a record that JSON can hold."""
        shape = wire.operation_model(operation).output_shape
        if shape is None:
            assert reply.body == {}
        else:
            check_shape(shape, reply.body, operation)
        msgspec.json.encode([reply.request_parameters, reply.response_elements])
        assert all(arn.startswith("arn:aws:kms:") for arn in reply.resources)

    def refused(self, operation: str, **how: Any) -> Refusal:
        with pytest.raises(Refusal) as caught:
            self.call(operation, **how)
        return caught.value

    def create(self, *, region: str = "", **parameters: Any) -> str:
        """The ARN of a new key."""
        made = self.call("CreateKey", region=region, **parameters)
        arn: str = made.body["KeyMetadata"]["Arn"]
        return arn

    def describe(self, key: str, *, region: str = "") -> dict[str, Any]:
        metadata: dict[str, Any] = self.call("DescribeKey", region=region, KeyId=key).body[
            "KeyMetadata"
        ]
        return metadata

    def later(self, days: float) -> list[str]:
        """Let days pass; the names of what KMS did by itself."""
        self.time += days * DAY
        return [event.event_name for event in self.kms.tick()]

    def connected_store(self) -> str:
        made = self.call(
            "CreateCustomKeyStore",
            CustomKeyStoreName="store",
            CloudHsmClusterId="cluster-a2b3c4defgh",
            TrustAnchorCertificate="certificate",
            KeyStorePassword="password",
        )
        store_id: str = made.body["CustomKeyStoreId"]
        self.call("ConnectCustomKeyStore", CustomKeyStoreId=store_id)
        return store_id

    def wrapped(
        self,
        key: str,
        material: bytes,
        *,
        algorithm: str = "RSAES_OAEP_SHA_256",
        region: str = "",
        spec: str = "RSA_2048",
    ) -> dict[str, Any]:
        """The members of ImportKeyMaterial that carry `material`, under a fresh token."""
        body = self.call(
            "GetParametersForImport",
            region=region,
            KeyId=key,
            WrappingAlgorithm=algorithm,
            WrappingKeySpec=spec,
        ).body
        public = serialization.load_der_public_key(base64.b64decode(body["PublicKey"]))
        assert isinstance(public, rsa.RSAPublicKey)
        digest = hashes.SHA1() if algorithm.endswith("SHA_1") else hashes.SHA256()
        oaep = padding.OAEP(padding.MGF1(digest), digest, None)
        if algorithm.startswith("RSAES"):
            sealed = public.encrypt(material, oaep)
        else:
            aes_key = bytes(range(32))
            sealed = public.encrypt(aes_key, oaep) + keywrap.aes_key_wrap_with_padding(
                aes_key, material
            )
        return {
            "ImportToken": body["ImportToken"],
            "EncryptedKeyMaterial": base64.b64encode(sealed).decode(),
        }

    def import_material(
        self, key: str, material: bytes = b"m" * 32, *, region: str = "", **more: Any
    ) -> Reply:
        if "ValidTo" not in more:
            more["ExpirationModel"] = "KEY_MATERIAL_DOES_NOT_EXPIRE"
        wrapped = self.wrapped(key, material, region=region)
        return self.call("ImportKeyMaterial", region=region, KeyId=key, **wrapped, **more)


def user(account: str, name: str) -> Caller:
    return Caller(account=account, arn=f"arn:aws:iam::{account}:user/{name}", user=name)


@pytest.fixture
def world() -> World:
    return World()


def check_shape(shape: Any, value: Any, path: str = "") -> None:
    """`value` is wire JSON of `shape`: no unknown member, no missing one, the right types."""
    match shape.type_name:
        case "structure":
            assert isinstance(value, dict), path
            assert set(value) <= set(shape.members), path
            assert set(shape.required_members) <= set(value), path
            for name, member in value.items():
                check_shape(shape.members[name], member, f"{path}.{name}")
        case "list":
            assert isinstance(value, list), path
            for each in value:
                check_shape(shape.member, each, f"{path}[]")
        case "map":
            assert isinstance(value, dict), path
        case "timestamp":
            assert isinstance(value, float), path
        case "blob":
            assert base64.b64decode(value, validate=True), path
        case "boolean":
            assert isinstance(value, bool), path
        case "integer":
            assert isinstance(value, int), path
        case "string":
            assert isinstance(value, str), path
            assert not shape.enum or value in shape.enum, (path, value)
            assert len(value) <= shape.metadata.get("max", 10**9), path
        case other:
            pytest.fail(f"{path}: nobody thought of {other}")
