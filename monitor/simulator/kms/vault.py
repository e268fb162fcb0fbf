"""Everything that the simulated KMS remembers, of all accounts and Regions."""

import base64
import binascii
import hashlib
import heapq
import itertools
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from monitor.key import KeyRef
from monitor.simulator.kms.keys import Key, Material
from monitor.simulator.words import Refusal, ServiceEvent


@dataclass(slots=True)
class Alias:
    name: str
    account: str
    region: str
    key: Key
    created_at: float
    updated_at: float

    @property
    def arn(self) -> str:
        return alias_arn(self.account, self.region, self.name)


@dataclass(slots=True)
class Store:
    """A custom key store (AWS_CLOUDHSM or EXTERNAL_KEY_STORE)."""

    store_id: str
    name: str
    kind: str
    account: str
    region: str
    created_at: float
    cluster_id: str = ""
    certificate: str = ""
    proxy: dict[str, Any] = field(default_factory=dict)
    connected: bool = False


@dataclass(slots=True)
class ImportToken:
    """What GetParametersForImport gave: good for one key, one import, 24 hours."""

    key: Key
    algorithm: str
    wrapping_spec: str
    valid_to: float
    private_key: Any
    used: bool = False


class Vault:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.keys: dict[KeyRef, Key] = {}
        """Keys that are gone stay: a lagging read may still see them."""
        self.aliases: dict[tuple[str, str, str], Alias] = {}
        self.stores: dict[str, Store] = {}
        self.grant_tokens: dict[str, tuple[Key, str]] = {}
        self.import_tokens: dict[bytes, ImportToken] = {}
        self.fresh_wrapping_keys = False
        self.events: list[ServiceEvent] = []
        """Told by `Kms.tick`, whoever made the time pass."""
        self.passing: set[Key] = set()
        """Keys in Creating or Updating, or with a rotation in progress."""
        self._agenda: list[tuple[float, int, Key]] = []
        self._order = itertools.count()

    # -- keys ----------------------------------------------------------------------------------

    def new_key_ref(self, account: str, region: str, *, multi_region: bool) -> KeyRef:
        number = uuid.UUID(bytes=self.rng.randbytes(16), version=4)
        key_id = f"mrk-{number.hex}" if multi_region else str(number)
        return KeyRef(account, region, key_id, partition_of(region))

    def new_uuid(self) -> str:
        return str(uuid.UUID(bytes=self.rng.randbytes(16), version=4))

    def changed(self, key: Key, now: float) -> None:
        """Must follow every change of a key: notes its state, and when time will change it next."""
        self.keys[key.ref] = key
        key.remember(now)
        if key.gone:
            return
        if key.passing_since is not None:
            self.passing.add(key)
        due = key.next_due()
        if due is not None:
            heapq.heappush(self._agenda, (due, next(self._order), key))

    def due(self, now: float) -> Iterable[Key]:
        """Keys that time may have changed by `now`, the earliest first."""
        while self._agenda and self._agenda[0][0] <= now:
            yield heapq.heappop(self._agenda)[2]

    def related(self, key: Key) -> list[Key]:
        """The other keys of a multi-Region family that still exist, in Region order."""
        if not key.multi_region:
            return []
        return sorted(
            (
                each
                for each in self.keys.values()
                if each.ref.key_id == key.ref.key_id
                and each.ref.account == key.ref.account
                and each is not key
                and not each.gone
            ),
            key=lambda each: each.ref.region,
        )

    def forget(self, key: Key) -> None:
        """Drop what belongs to a key that is gone: its aliases, grants and material."""
        for place in [place for place, alias in self.aliases.items() if alias.key is key]:
            del self.aliases[place]
        for grant in key.grants.values():
            self.grant_tokens.pop(grant.token, None)
        key.grants = {}
        # Related keys may share the list: give this key an empty one of its own.
        key.materials = []

    # -- lists in pages ------------------------------------------------------------------------

    @staticmethod
    def page(
        entries: list[tuple[str, Any]], member: str, parameters: dict[str, Any], default: int
    ) -> dict[str, Any]:
        """One page of a List* answer; `entries` are (place, entry), sorted here by place.

        The marker holds the place of the last entry given, so that nothing is skipped when
        entries vanish between two pages. Raises InvalidMarkerException.
        """
        after = _read_marker(parameters.get("Marker"))
        limit = parameters.get("Limit", default)
        rest = sorted((each for each in entries if each[0] > after), key=lambda each: each[0])
        shown = rest[:limit]
        body: dict[str, Any] = {
            member: [entry for _, entry in shown],
            "Truncated": len(rest) > limit,
        }
        if body["Truncated"]:
            body["NextMarker"] = _MARKER + base64.b64encode(shown[-1][0].encode()).decode("ascii")
        return body


_MARKER = "AE0"


def _read_marker(marker: str | None) -> str:
    if marker is None:
        return ""
    invalid = Refusal("InvalidMarkerException", "The marker is not valid.")
    if not marker.startswith(_MARKER):
        raise invalid
    try:
        return base64.b64decode(marker.removeprefix(_MARKER), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid from error


def partition_of(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def alias_arn(account: str, region: str, name: str) -> str:
    return f"arn:{partition_of(region)}:kms:{region}:{account}:{name}"


def material_id(key_id: str, secret: bytes) -> str:
    """KMS derives it "based on the KMS key ID and the imported key material" (API reference)."""
    return hashlib.sha256(key_id.encode() + b"\0" + secret).hexdigest()


def new_material(key: Key, secret: bytes, **facts: Any) -> Material:
    return Material(material_id(key.ref.key_id, secret), secret, **facts)
