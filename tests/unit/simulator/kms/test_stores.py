"""Custom key stores: made, connected, renamed, emptied, deleted."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.simulator.kms.conftest import World

CLUSTER: dict[str, Any] = {
    "CustomKeyStoreName": "hsm",
    "CloudHsmClusterId": "cluster-b2b3c4defgh",
    "TrustAnchorCertificate": "certificate",
    "KeyStorePassword": "password",
}
PROXY: dict[str, Any] = {
    "CustomKeyStoreName": "outside",
    "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
    "XksProxyUriEndpoint": "https://keys.example.com",
    "XksProxyUriPath": "/kms/xks/v1",
    "XksProxyConnectivity": "PUBLIC_ENDPOINT",
    "XksProxyAuthenticationCredential": {
        "AccessKeyId": "ABCDEFGHIJKLMNOPQRST",
        "RawSecretAccessKey": "s" * 50,
    },
}


def test_a_life_of_an_external_store(world: "World") -> None:
    made = world.call("CreateCustomKeyStore", **PROXY)
    store = made.body["CustomKeyStoreId"]
    assert made.response_elements == {"customKeyStoreId": store}
    assert made.request_parameters is not None
    assert "RawSecretAccessKey" not in str(made.request_parameters)
    assert "s" * 50 not in str(made.request_parameters)
    (entry,) = world.call("DescribeCustomKeyStores", CustomKeyStoreName="outside").body[
        "CustomKeyStores"
    ]
    assert entry["ConnectionState"] == "DISCONNECTED"
    assert entry["XksProxyConfiguration"]["UriEndpoint"] == "https://keys.example.com"
    wanted = {"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "k1"}
    refusal = world.refused("CreateKey", **wanted)
    assert refusal.code == "CustomKeyStoreInvalidStateException"
    world.call("ConnectCustomKeyStore", CustomKeyStoreId=store)
    key = world.create(**wanted)
    metadata = world.describe(key)
    assert metadata["XksKeyConfiguration"] == {"Id": "k1"}
    assert metadata["CustomKeyStoreId"] == store
    changed = {"CustomKeyStoreId": store, "XksProxyUriEndpoint": "https://new.example.com"}
    refusal = world.refused("UpdateCustomKeyStore", **changed)
    assert refusal.code == "CustomKeyStoreInvalidStateException"
    world.call("DisconnectCustomKeyStore", CustomKeyStoreId=store)
    world.call("UpdateCustomKeyStore", **changed, NewCustomKeyStoreName="moved")
    (entry,) = world.call("DescribeCustomKeyStores", CustomKeyStoreId=store).body["CustomKeyStores"]
    assert entry["CustomKeyStoreName"] == "moved"
    assert entry["XksProxyConfiguration"]["UriEndpoint"] == "https://new.example.com"
    world.call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    world.later(7)
    world.call("DeleteCustomKeyStore", CustomKeyStoreId=store)
    assert world.call("DescribeCustomKeyStores").body["CustomKeyStores"] == []


def test_refusals(world: "World") -> None:
    store = world.connected_store()
    for operation in ("ConnectCustomKeyStore", "DeleteCustomKeyStore"):
        refusal = world.refused(operation, CustomKeyStoreId=store)
        assert refusal.code == "CustomKeyStoreInvalidStateException"
    world.call("DisconnectCustomKeyStore", CustomKeyStoreId=store)
    refusal = world.refused("DisconnectCustomKeyStore", CustomKeyStoreId=store)
    assert refusal.code == "CustomKeyStoreInvalidStateException"
    refusal = world.refused(
        "UpdateCustomKeyStore", CustomKeyStoreId=store, CloudHsmClusterId="cluster-b2b3c4defgh"
    )
    assert refusal.code == "CloudHsmClusterNotRelatedException"
    world.call("DeleteCustomKeyStore", CustomKeyStoreId=store)
    for operation in ("ConnectCustomKeyStore", "DescribeCustomKeyStores", "DeleteCustomKeyStore"):
        refusal = world.refused(operation, CustomKeyStoreId=store)
        assert refusal.code == "CustomKeyStoreNotFoundException"


def test_names_and_clusters_are_taken_once(world: "World") -> None:
    world.call("CreateCustomKeyStore", **CLUSTER)
    refusal = world.refused("CreateCustomKeyStore", **CLUSTER)
    assert refusal.code == "CustomKeyStoreNameInUseException"
    refusal = world.refused("CreateCustomKeyStore", **{**CLUSTER, "CustomKeyStoreName": "b"})
    assert refusal.code == "CloudHsmClusterInUseException"
    refusal = world.refused("CreateCustomKeyStore", CustomKeyStoreName="c")
    assert refusal.code == "ValidationException"


@pytest.mark.parametrize(
    "more",
    [
        {"MultiRegion": True},
        {"KeySpec": "RSA_2048"},
        {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
        {"Origin": "EXTERNAL_KEY_STORE", "XksKeyId": "k"},
    ],
)
def test_keys_that_a_store_does_not_hold(world: "World", more: dict[str, Any]) -> None:
    store = world.connected_store()
    wanted = {"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store, **more}
    assert world.refused("CreateKey", **wanted).code == "UnsupportedOperationException"


def test_random_bytes_from_a_store(world: "World") -> None:
    store = world.connected_store()
    world.call("GenerateRandom", NumberOfBytes=8, CustomKeyStoreId=store)
    world.call("DisconnectCustomKeyStore", CustomKeyStoreId=store)
    refusal = world.refused("GenerateRandom", NumberOfBytes=8, CustomKeyStoreId=store)
    assert refusal.code == "CustomKeyStoreInvalidStateException"
    refusal = world.refused("GenerateRandom", NumberOfBytes=8, CustomKeyStoreId="cks-0")
    assert refusal.code == "CustomKeyStoreNotFoundException"
