"""In what a live key is not as it should be. Pure."""

from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from monitor.finding import Aspect
from monitor.incident import Seen
from monitor.key import Grant, KeySnapshot, KeyState
from monitor.repair.plan import plan


def compare(
    aspects: Iterable[Aspect], live: KeySnapshot, wanted: KeyState, known: KeySnapshot | None
) -> Seen:
    """Of these aspects, those that differ, and those of which it cannot be said.

    The state is compared with `wanted` (see `monitor.repair.baseline`), all else with `known`, how
    the key was before it was damaged; None where that is not known.
    """
    wrong, unknown = set[Aspect](), set[Aspect]()
    for aspect in aspects:
        right = well(live, wanted) if aspect is Aspect.STATE else same(aspect, live, known)
        if right is None:
            unknown.add(aspect)
        elif not right:
            wrong.add(aspect)
    return Seen(frozenset(wrong), frozenset(unknown), f"the key is {live.state}")


def well(live: KeySnapshot, wanted: KeyState) -> bool:
    """Whether the state is the wanted one, or a better one that somebody gave it."""
    return plan(live, wanted).nothing_to_do


def same(aspect: Aspect, live: KeySnapshot, known: KeySnapshot | None) -> bool | None:
    """Whether this part of the key is as it was; None where it was not read, then or now."""
    if known is None:
        return None
    now, then = part(aspect, live), part(aspect, known)
    return None if now is None or then is None else now == then


def part(aspect: Aspect, key: KeySnapshot) -> object:
    match aspect:
        case Aspect.STATE:
            return key.state
        case Aspect.POLICY:
            return key.policy
        case Aspect.ROTATION:
            return key.rotation_days
        case Aspect.ALIASES:
            return key.aliases
        case Aspect.TAGS:
            return key.tags
        case Aspect.GRANTS:
            return None if key.grants is None else Counter(map(content, key.grants))
        case Aspect.DESCRIPTION:
            return key.description
        case Aspect.REPLICATION:
            return key.primary, key.replicas


def content(grant: Grant) -> str:
    """What a grant says: one that was revoked and made anew has another id (aws-facts 3.7)."""
    return repr(replace(grant, grant_id="", operations=tuple(sorted(grant.operations))))
