"""What detectors may know beyond the event: how every key should be, and which resources are ours.

It is filled from the settings, at the start and by every sweep, and read without waiting. What it
does not know it does not guess: a detector then says less.
"""

from collections.abc import Iterable

import msgspec

from monitor.failed_uses import FailedUses
from monitor.key import KeyRef, KeySnapshot
from monitor.windows import Windows


class Watched(msgspec.Struct, frozen=True):
    """The resources that our sight and our rights rest on, as ARNs.

    From the settings, and what the daemon finds at the start: see `monitor.loops.inventory`.
    """

    trails: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()
    """EventBridge rules: `arn:aws:events:REGION:ACCOUNT:rule/[BUS/]NAME`."""
    buses: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    """Dead-letter queues included."""
    topics: frozenset[str] = frozenset()
    subscriptions: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    """IAM roles and users that the daemon is or assumes, with their paths."""
    policies: frozenset[str] = frozenset()
    """Customer managed IAM policies attached to those roles."""
    buckets: frozenset[str] = frozenset()
    """`arn:aws:s3:::NAME`: where trails put log files."""
    log_groups: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    deployments: frozenset[str] = frozenset()
    """What the daemon runs in: CloudFormation stacks, functions, services, instances."""
    keys: dict[KeyRef, str] = {}
    """The keys that encrypt any of these, and what each encrypts, for people."""

    def ours(self, kind: str, arn: str) -> bool | None:
        """Whether a resource is one of these; None where none of its kind is known to us.

        `kind` is the name of a field, such as `trails`. A known one that ends in `*` stands for
        all that begin so, and one that ends in `:*`, as a log group's may, for the group, too.
        """
        known: frozenset[str] = getattr(self, kind)
        if not known:
            return None
        if arn in known or f"{arn}:*" in known:
            return True
        return any(one.endswith("*") and arn.startswith(one[:-1]) for one in known)

    def joined(self, other: "Watched") -> "Watched":
        """Both together."""
        mine, its = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        return Watched(**{name: mine[name] | its[name] for name in mine})


class Knowledge:
    """Kept by the app; handed to every detector."""

    def __init__(
        self,
        watched: Watched | None = None,
        snapshots: Iterable[KeySnapshot] = (),
        windows: Windows | None = None,
    ) -> None:
        self.watched = watched or Watched()
        self.windows = windows or Windows()
        """What detectors remember over time."""
        self.failed_uses = FailedUses()
        self.accounts: frozenset[str] = frozenset()
        """The accounts that count as ours: the guarded ones, and `trusted_accounts`."""
        self.places: frozenset[tuple[str, str]] | None = None
        """The guarded pairs of account and Region; None where that is not told."""
        self.keys: dict[KeyRef, KeySnapshot] = {}
        self.versions: dict[KeyRef, int] = {}
        """Of the baselines from which they are known."""
        self.targets: dict[tuple[str, str, str], KeyRef] = {}
        for snapshot in snapshots:
            self.learn(snapshot)

    def learn(self, snapshot: KeySnapshot, version: int = 0) -> None:
        """This is how the key should be. Of two versions of its baseline the older is no news."""
        key = snapshot.key
        if version < self.versions.get(key, 0):
            return
        self.versions[key] = version
        before = self.keys.get(key)
        for alias in (before.aliases if before else None) or ():
            self.targets.pop((key.account, key.region, alias), None)
        self.keys[key] = snapshot
        for alias in snapshot.aliases or ():
            self.targets[key.account, key.region, alias] = key

    def key(self, key: KeyRef | None) -> KeySnapshot | None:
        """How the key should be; None where that is not known."""
        return self.keys.get(key) if key else None

    def target(self, account: str, region: str, alias: str) -> KeyRef | None:
        """The key that an alias (`alias/NAME`) should point at."""
        return self.targets.get((account, region, alias))
