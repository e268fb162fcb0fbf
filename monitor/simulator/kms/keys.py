"""One KMS key as the simulator keeps it: its facts, its material, and its state through time.

The state is never stored: it follows from a few facts (is it enabled, is its deletion scheduled,
is its material there, is its store connected), so that "cancel leaves Disabled, or PendingImport
when the material vanished meanwhile" needs no code of its own.
"""

import bisect
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from monitor.key import KeyRef, KeyState
from monitor.simulator.kms.grants import Grant
from monitor.simulator.kms.policies import Policy

CURRENT = "CURRENT"
NON_CURRENT = "NON_CURRENT"
PENDING_ROTATION = "PENDING_ROTATION"
PENDING_EVERYWHERE = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"

DAY = 86400.0
# A run of toggling must not grow a key's memory for ever; half of it goes when this is reached.
REMEMBERED_SIGHTS = 1000


@dataclass(slots=True)
class Material:
    """Key material: 32 bytes for a symmetric key, PKCS #8 DER for an asymmetric one."""

    material_id: str
    """64 hex digits, computed from the key's id and the bytes, so that a re-import can be judged."""
    secret: bytes | None
    """None: imported material that was deleted, expired, or is only known from the primary key."""
    state: str = CURRENT
    description: str = ""
    expires_at: float | None = None
    rotated_at: float | None = None
    rotation_type: str = ""

    @property
    def permanent(self) -> bool:
        """Associated for good: while such material is missing the whole key is PendingImport."""
        return self.state in {CURRENT, NON_CURRENT}


@dataclass(slots=True)
class Rotation:
    """Automatic rotation; related multi-Region keys share one."""

    period_days: int | None = None
    last_period_days: int = 365
    next_at: float | None = None
    requested_at: float | None = None
    """An on-demand rotation that is still in progress."""
    on_demand_count: int = 0


class Sight(NamedTuple):
    """How the key was from `since` (epoch seconds) on."""

    since: float
    state: KeyState
    deletion_date: float | None
    window: int | None


@dataclass(eq=False, slots=True)
class Key:
    ref: KeyRef
    created_at: float
    policy: Policy
    spec: str = "SYMMETRIC_DEFAULT"
    usage: str = "ENCRYPT_DECRYPT"
    origin: str = "AWS_KMS"
    manager: str = "CUSTOMER"
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    primary_region: str = ""
    """Of a multi-Region key: where its primary is. Else empty."""
    store_id: str = ""
    cluster_id: str = ""
    xks_key_id: str = ""
    enabled: bool = True
    gone: bool = False
    store_connected: bool = True
    overlay: KeyState | None = None
    """Creating or Updating, which pass by themselves; or any state that was forced for a test."""
    overlay_since: float | None = None
    """None: the overlay stays until it is taken away."""
    window: int | None = None
    """Days; set while deletion is scheduled."""
    deletion_date: float | None = None
    """None while a multi-Region primary waits for its replicas."""
    materials: list[Material] = field(default_factory=list)
    rotation: Rotation = field(default_factory=Rotation)
    grants: dict[str, Grant] = field(default_factory=dict)
    last_usage: dict[str, Any] | None = None
    sights: list[Sight] = field(default_factory=list)

    @property
    def arn(self) -> str:
        return self.ref.arn

    @property
    def multi_region(self) -> bool:
        return bool(self.primary_region)

    @property
    def replica(self) -> bool:
        return self.multi_region and self.primary_region != self.ref.region

    @property
    def symmetric(self) -> bool:
        return self.spec == "SYMMETRIC_DEFAULT"

    @property
    def external(self) -> bool:
        return self.origin == "EXTERNAL"

    @property
    def current_material(self) -> Material | None:
        return next((each for each in self.materials if each.state == CURRENT), None)

    @property
    def material_missing(self) -> bool:
        if not self.external:
            return False
        permanent = [each for each in self.materials if each.permanent]
        return not permanent or any(each.secret is None for each in permanent)

    @property
    def state(self) -> KeyState:
        """The true state now. Deletion outranks everything, then what passes, then what is missing."""
        if self.gone:
            return KeyState.GONE
        if self.window is not None:
            waits = self.deletion_date is None
            return KeyState.PENDING_REPLICA_DELETION if waits else KeyState.PENDING_DELETION
        if self.overlay is not None:
            return self.overlay
        if not self.store_connected:
            return KeyState.UNAVAILABLE
        if self.material_missing:
            return KeyState.PENDING_IMPORT
        return KeyState.ENABLED if self.enabled else KeyState.DISABLED

    def sight(self, at: float) -> Sight | None:
        """How the key was at `at`; None before it existed."""
        index = bisect.bisect_right(self.sights, at, key=lambda each: each.since)
        return self.sights[index - 1] if index else None

    def remember(self, now: float) -> None:
        """Note the present state, if it differs from the last one noted."""
        if self.sights:
            now = max(now, self.sights[-1].since)
        new = Sight(now, self.state, self.deletion_date, self.window)
        if self.sights and self.sights[-1][1:] == new[1:]:
            return
        if len(self.sights) >= REMEMBERED_SIGHTS:
            del self.sights[: REMEMBERED_SIGHTS // 2]
        self.sights.append(new)

    @property
    def passing_since(self) -> float | None:
        """When something began that passes by itself: Creating, Updating, a rotation on demand."""
        if self.overlay_since is not None:
            return self.overlay_since
        return None if self.replica else self.rotation.requested_at

    @property
    def rotation_due(self) -> float | None:
        """The date of the next automatic rotation, if the key is in a state to be rotated."""
        if self.replica or self.state is not KeyState.ENABLED:
            return None
        return self.rotation.next_at

    def next_due(self) -> float | None:
        """When time alone will next change this key."""
        dates = [each.expires_at for each in self.materials]
        dates += [self.deletion_date, self.rotation_due]
        return min((each for each in dates if each is not None), default=None)
