"""Custom key stores: CloudHSM clusters and external key managers that hold keys' material.

One call makes all keys of a store Unavailable at once (aws-facts 3.1), and no record about a store
names a key or an ARN: which keys are in it only who has asked before knows.
"""

import re
from collections.abc import Iterable
from typing import ClassVar, Final

from monitor.detector import KMS, About, Base, NoOptions, is_denied
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.key import KeyRef
from monitor.parameters import few, short, text

STORE: Final = re.compile(r"cks-[0-9a-z]{1,61}")
CONNECT: Final = "ConnectCustomKeyStore"
DOING: Final = {
    CONNECT: "Connecting",
    "DisconnectCustomKeyStore": "Disconnecting",
    "DeleteCustomKeyStore": "Deleting",
    "UpdateCustomKeyStore": "Changing",
}
GUIDE: Final = "https://docs.aws.amazon.com/kms/latest/developerguide/"
SECRETS: Final = frozenset({"keyStorePassword", "xksProxyAuthenticationCredential"})
"""CloudTrail leaves them out; should it ever not, people are not shown even that they are there."""


class CustomKeyStoreChanged(Base[NoOptions]):
    name: ClassVar = "custom_key_store_changed"
    title: ClassVar = "Custom key store changed"
    about: ClassVar = About(
        description="Somebody disconnected, deleted or changed a custom key store, or it cannot be "
        "connected. While a store is not connected, every KMS key in it is unavailable: nothing can "
        "be encrypted or decrypted under any of them.",
        severity="disconnected: critical if we know keys in it, else high; deleted: high; settings "
        "changed: medium; a connection that fails: high if we know keys in it, else medium; "
        "connected: info; an attempt is medium if AWS denied it, else low",
        techniques=("T1489", "T1485"),
        false_positives=(
            "A store is disconnected for a while to change its settings or its password.",
            "A store that holds no keys any more is deleted.",
        ),
        advice=(
            (
                "Connect the store again with ConnectCustomKeyStore, and follow its state with "
                "DescribeCustomKeyStores."
            ),
            "If it does not connect, look at the CloudHSM cluster or the external key store proxy.",
            "Find out whether whoever did it was meant to.",
        ),
        references=(
            GUIDE + "connect-keystore.html",
            GUIDE + "key-store-overview.html",
            GUIDE + "fix-keystore.html",
            GUIDE + "ct-disconnect-keystore.html",
        ),
    )
    events: ClassVar = frozenset((KMS, call) for call in DOING)

    def inspect(self, event: Event) -> Iterable[Finding]:
        code = event.error_code
        if code and (event.event_name != CONNECT or is_denied(code)):
            return [self.attempt(event, f"{DOING[event.event_name]} a custom key store")]
        if code == "ThrottlingException":
            return []
        keys = self.keys_in(event)
        match event.event_name:
            case "ConnectCustomKeyStore" if code:
                # Whoever tried: it shows that the keys cannot be used.
                what, kind = f"cannot be connected ({short(code, 60)})", Kind.EVIDENCE
                severity = Severity.HIGH if keys else Severity.MEDIUM
            case "ConnectCustomKeyStore":
                # The call returns before the store is connected, which takes some minutes.
                what, kind, severity = "is being connected", Kind.RECOVERY, Severity.INFO
            case "DisconnectCustomKeyStore" if keys:
                what, kind = f"disconnected: {len(keys)} known keys are unusable", Kind.NOTICE
                severity = Severity.CRITICAL
            case "DisconnectCustomKeyStore":
                what, kind, severity = "disconnected", Kind.NOTICE, Severity.HIGH
            case "DeleteCustomKeyStore":
                what, kind, severity = "deleted", Kind.NOTICE, Severity.HIGH
            case _:
                what, kind, severity = "changed", Kind.NOTICE, Severity.MEDIUM
        store = text(event.request(), "customKeyStoreId")
        shown = f" {store}" if STORE.fullmatch(store) else ""
        title = f"Custom key store{shown} {what}"
        return [self.finding(event, title, severity, kind=kind, details=told(event, keys))]

    def keys_in(self, event: Event) -> list[KeyRef]:
        """The keys that we know in the store; none where the record does not name the store."""
        store = text(event.request(), "customKeyStoreId")
        place = (event.recipient_account_id, event.aws_region)
        found = (
            key
            for key, snapshot in self.knowledge.keys.items()
            if store and snapshot.custom_key_store == store and (key.account, key.region) == place
        )
        return sorted(found)


def told(event: Event, keys: list[KeyRef]) -> dict[str, str]:
    """What the record says about the store, and which keys we know in it."""
    request, more = event.request(), event.additional()
    details = {
        "custom_key_store_id": short(text(request, "customKeyStoreId")),
        "custom_key_store_name": short(text(more, "customKeyStoreName")),
        "cluster_id": short(text(request, "clusterId") or text(more, "clusterId")),
        "known_keys": str(len(keys)),
        "keys": few(key.arn for key in keys),
        "error_message": event.error_message or "",
    }
    if event.event_name == "UpdateCustomKeyStore":
        details["settings"] = few(sorted(request.keys() - SECRETS - {"customKeyStoreId"}))
    return {name: text for name, text in details.items() if text}
