"""Custom key stores: enough of them that their keys become Unavailable, and come back."""

from typing import Any

from monitor.simulator.kms.call import Call, Operation
from monitor.simulator.kms.keys import Key
from monitor.simulator.kms.vault import Store
from monitor.simulator.words import Refusal, Reply

_CLUSTER = ("CloudHsmClusterId", "TrustAnchorCertificate", "KeyStorePassword")
_PROXY = ("XksProxyUriEndpoint", "XksProxyUriPath", "XksProxyConnectivity")
_PROXY_MEMBERS = {
    "XksProxyUriEndpoint": "UriEndpoint",
    "XksProxyUriPath": "UriPath",
    "XksProxyConnectivity": "Connectivity",
    "XksProxyVpcEndpointServiceName": "VpcEndpointServiceName",
    "XksProxyVpcEndpointServiceOwner": "VpcEndpointServiceOwner",
}


def create_custom_key_store(call: Call) -> Reply:
    given = call.parameters
    kind = given.get("CustomKeyStoreType", "AWS_CLOUDHSM")
    needed = _CLUSTER if kind == "AWS_CLOUDHSM" else (*_PROXY, "XksProxyAuthenticationCredential")
    missing = [member for member in needed if member not in given]
    if missing:
        raise Refusal("ValidationException", f"{kind} stores need {', '.join(missing)}")
    name = given["CustomKeyStoreName"]
    _refuse_taken_name(call, name)
    cluster = given.get("CloudHsmClusterId", "") if kind == "AWS_CLOUDHSM" else ""
    if cluster and any(each.cluster_id == cluster for each in call.vault.stores.values()):
        raise Refusal("CloudHsmClusterInUseException", f"{cluster} already has a key store")
    store = Store(
        f"cks-{call.vault.rng.randbytes(9).hex()[:17]}",
        name,
        kind,
        call.account,
        call.region,
        call.now,
        cluster_id=cluster,
        certificate=given.get("TrustAnchorCertificate", "") if cluster else "",
        proxy=_proxy(given) if kind == "EXTERNAL_KEY_STORE" else {},
    )
    call.vault.stores[store.store_id] = store
    body = {"CustomKeyStoreId": store.store_id}
    return call.reply(
        body=body, response={"customKeyStoreId": store.store_id}, extra=_on_the_side(store)
    )


def describe_custom_key_stores(call: Call) -> Reply:
    given = call.parameters
    if "CustomKeyStoreId" in given and "CustomKeyStoreName" in given:
        raise Refusal("ValidationException", "Name a store by its id or by its name, not both")
    wanted_id, wanted_name = given.get("CustomKeyStoreId"), given.get("CustomKeyStoreName")
    stores = [
        store
        for store in _own_stores(call)
        if wanted_id in (None, store.store_id) and wanted_name in (None, store.name)
    ]
    if not stores and (wanted_id or wanted_name):
        raise _not_found(wanted_id or wanted_name)
    entries = [(store.store_id, _entry(store)) for store in stores]
    return call.reply(body=call.vault.page(entries, "CustomKeyStores", given, 1000))


def connect_custom_key_store(call: Call) -> Reply:
    """AWS takes up to 20 minutes for it; here it is done at once."""
    store = _store(call)
    if store.connected:
        raise _wrong_state(store, "is already connected")
    return _set_connected(call, store, connected=True)


def disconnect_custom_key_store(call: Call) -> Reply:
    store = _store(call)
    if not store.connected:
        raise _wrong_state(store, "is not connected")
    return _set_connected(call, store, connected=False)


def _set_connected(call: Call, store: Store, *, connected: bool) -> Reply:
    store.connected = connected
    for key in _keys(call, store):
        key.store_connected = connected
        call.changed(key)
    return call.reply(extra=_on_the_side(store))


def update_custom_key_store(call: Call) -> Reply:
    store = _store(call)
    given = call.parameters
    name = given.get("NewCustomKeyStoreName")
    if store.connected and set(given) - {"CustomKeyStoreId", "NewCustomKeyStoreName"}:
        raise _wrong_state(store, "must be disconnected first")
    if given.get("CloudHsmClusterId", store.cluster_id) != store.cluster_id:
        raise Refusal(
            "CloudHsmClusterNotRelatedException", "The cluster shares no backup with the present"
        )
    if name is not None and name != store.name:
        _refuse_taken_name(call, name)
        store.name = name
    if store.kind == "EXTERNAL_KEY_STORE":
        store.proxy |= _proxy(given)
    return call.reply(extra=_on_the_side(store))


def delete_custom_key_store(call: Call) -> Reply:
    store = _store(call)
    if _keys(call, store):
        raise Refusal("CustomKeyStoreHasCMKsException", f"{store.store_id} holds KMS keys")
    if store.connected:
        raise _wrong_state(store, "is connected")
    del call.vault.stores[store.store_id]
    return call.reply(extra=_on_the_side(store))


def _entry(store: Store) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "CustomKeyStoreId": store.store_id,
        "CustomKeyStoreName": store.name,
        "CustomKeyStoreType": store.kind,
        "ConnectionState": "CONNECTED" if store.connected else "DISCONNECTED",
        "CreationDate": store.created_at,
    }
    if store.cluster_id:
        entry["CloudHsmClusterId"] = store.cluster_id
        entry["TrustAnchorCertificate"] = store.certificate
    if store.proxy:
        entry["XksProxyConfiguration"] = store.proxy
    return entry


def _proxy(given: dict[str, Any]) -> dict[str, Any]:
    proxy = {name: given[member] for member, name in _PROXY_MEMBERS.items() if member in given}
    credential = given.get("XksProxyAuthenticationCredential")
    if credential is not None:
        proxy["AccessKeyId"] = credential["AccessKeyId"]
    return proxy


def _on_the_side(store: Store) -> dict[str, Any]:
    """`additionalEventData` of every operation on custom key stores."""
    side = {"customKeyStoreName": store.name}
    if store.cluster_id:
        side["clusterId"] = store.cluster_id
    return side


def _own_stores(call: Call) -> list[Store]:
    return [
        store
        for store in call.vault.stores.values()
        if (store.account, store.region) == (call.account, call.region)
    ]


def _store(call: Call) -> Store:
    wanted = call.parameters["CustomKeyStoreId"]
    for store in _own_stores(call):
        if store.store_id == wanted:
            return store
    raise _not_found(wanted)


def _keys(call: Call, store: Store) -> list[Key]:
    return [
        key for key in call.vault.keys.values() if key.store_id == store.store_id and not key.gone
    ]


def _refuse_taken_name(call: Call, name: str) -> None:
    if any(store.name == name for store in _own_stores(call)):
        raise Refusal("CustomKeyStoreNameInUseException", f"{name} is in use")


def _not_found(which: Any) -> Refusal:
    return Refusal("CustomKeyStoreNotFoundException", f"Custom key store {which} does not exist")


def _wrong_state(store: Store, what: str) -> Refusal:
    return Refusal("CustomKeyStoreInvalidStateException", f"{store.store_id} {what}")


OPERATIONS: dict[str, Operation] = {
    "CreateCustomKeyStore": create_custom_key_store,
    "DescribeCustomKeyStores": describe_custom_key_stores,
    "ConnectCustomKeyStore": connect_custom_key_store,
    "DisconnectCustomKeyStore": disconnect_custom_key_store,
    "UpdateCustomKeyStore": update_custom_key_store,
    "DeleteCustomKeyStore": delete_custom_key_store,
}
