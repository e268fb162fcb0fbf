"""The things about a key that can be changed, and put right, by themselves, each by a name. Pure.

The state, the policy, the rotation, the description; one alias, one tag, one grant; the primary Region and
each replica; when imported material expires.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from monitor.finding import Aspect
from monitor.key import Grant, KeyRef, KeySnapshot

Changes = Mapping[str, Any]
"""New values by the name of a register, as one event tells of them. See `monitor.changes`."""

STATE: Final = "state"
POLICY: Final = "policy"
ROTATION: Final = "rotation"
DESCRIPTION: Final = "description"
EXPIRY: Final = "expiry"
PRIMARY: Final = "primary"
ALIAS: Final = "alias/"
TAG: Final = "tag/"
GRANT: Final = "grant/"
GRANT_ID: Final = "grant-id/"
"""A change that knows of a grant its id alone: see `resolved`."""
REPLICA: Final = "replica/"
"""A Region that has one of the keys of a multi-Region key, be it the primary: which one that is changes
without any key coming or going."""
UNSURE: Final = 26 * 3600.0
"""Seconds. So wrong a moment may be that CloudTrail writes into parameters (aws-facts 2.3)."""


def cut(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Those whose name begins so, by the rest of the name."""
    return {name[len(prefix) :]: one for name, one in values.items() if name.startswith(prefix)}


def aspect_of(name: str) -> Aspect:
    """What of a key a register is a part of."""
    whole = {
        POLICY: Aspect.POLICY,
        ROTATION: Aspect.ROTATION,
        DESCRIPTION: Aspect.DESCRIPTION,
        PRIMARY: Aspect.REPLICATION,
    }
    parts = {
        ALIAS: Aspect.ALIASES,
        TAG: Aspect.TAGS,
        GRANT: Aspect.GRANTS,
        GRANT_ID: Aspect.GRANTS,
        REPLICA: Aspect.REPLICATION,
    }
    if name in whole:
        return whole[name]
    return next((one for prefix, one in parts.items() if name.startswith(prefix)), Aspect.STATE)


def grant_register(grant: Grant) -> tuple[str, dict[str, Any]]:
    """The register of a grant, and its value.

    It is named by what the grant says: one that is made anew has another id (aws-facts 3.7).
    """
    said = msgspec.to_builtins(replace(grant, grant_id="", operations=sorted(grant.operations)))
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode(errors="surrogatepass"))
    return GRANT + digest.hexdigest()[:32], {**said, "grant_id": grant.grant_id}


def related(live: KeySnapshot) -> tuple[KeyRef, ...]:
    """All keys of a multi-Region key; of any other none."""
    return (live.primary, *live.replicas) if live.primary else live.replicas


def registers_of(live: KeySnapshot) -> tuple[dict[str, Any], frozenset[Aspect]]:
    """All that a snapshot says, by register, and the aspects that were read."""
    values: dict[str, Any] = {
        STATE: live.state.value,
        DESCRIPTION: live.description,
        EXPIRY: live.valid_to,
        **{REPLICA + one.region: True for one in related(live)},
    }
    if live.primary is not None:
        values[PRIMARY] = live.primary.region
    aspects = {Aspect.STATE, Aspect.DESCRIPTION, Aspect.REPLICATION}
    if live.policy is not None:
        values[POLICY] = live.policy
        aspects.add(Aspect.POLICY)
    if live.rotation_days is not None:
        values[ROTATION] = live.rotation_days
        aspects.add(Aspect.ROTATION)
    if live.aliases is not None:
        values |= dict.fromkeys(live.aliases, True)
        aspects.add(Aspect.ALIASES)
    if live.tags is not None:
        values |= {TAG + name: value for name, value in live.tags.items()}
        aspects.add(Aspect.TAGS)
    if live.grants is not None:
        values |= dict(map(grant_register, live.grants))
        aspects.add(Aspect.GRANTS)
    return values, frozenset(aspects)


def by_aspect(names: Iterable[str]) -> frozenset[Aspect]:
    return frozenset(map(aspect_of, names))
