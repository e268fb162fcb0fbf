"""Evidence, as it is told: for machines and for people. Pure.

Members for machines, times in ISO-8601 UTC or null:

    gathered_at   when it was asked for
    last_use      null, or {call, at, event_id}: the last use of the key that succeeded
    tracked_since since when KMS remembers uses: without a last_use there was none since then
    failed_calls, failed_users   how many calls by how many users we saw fail; more may have
    failed_uses   [{who, service, count, first_at, last_at}], the most frequent first
    grants, grantees, aliases, alias_names   numbers, or null where nobody knows, and a few of each
    encrypts      what of ours it encrypts; else ""
    deadline      when the key is gone for good; null: its deletion is not scheduled
    missing       object: the parts that could not be had, and why
"""

from monitor.evidence import Evidence, FailedUse
from monitor.telling.headline import LIMIT, NAME, clean
from monitor.telling.times import ago, moment


def members(evidence: Evidence, limit: int = LIMIT) -> dict[str, object]:
    """Ready for JSON. `limit`: characters of the longest quoted text."""
    use = evidence.last_use
    return {
        "gathered_at": moment(evidence.gathered_at),
        "last_use": use
        and {
            "call": clean(use.call, NAME),
            "at": moment(use.at),
            "event_id": clean(use.event_id, NAME),
        },
        "tracked_since": moment(evidence.tracked_since),
        "failed_calls": evidence.failed_calls,
        "failed_users": evidence.failed_users,
        "failed_uses": [
            {
                "who": clean(one.who, limit),
                "service": one.service,
                "count": one.count,
                "first_at": moment(one.first_at),
                "last_at": moment(one.last_at),
            }
            for one in evidence.failed_uses
        ],
        "grants": evidence.grants,
        "grantees": [clean(one, limit) for one in evidence.grantees],
        "aliases": evidence.aliases,
        "alias_names": [clean(one, limit) for one in evidence.alias_names],
        "encrypts": clean(evidence.encrypts, limit),
        "deadline": moment(evidence.deadline),
        "missing": {clean(part, NAME): clean(why, limit) for part, why in evidence.missing.items()},
    }


def lines(evidence: Evidence, now: float, limit: int = LIMIT) -> list[str]:
    """For people; times are told as seen at `now` (epoch seconds)."""
    told = ["", "Evidence"]
    if evidence.deadline:
        told.append(
            f"  Deadline  gone for good at {moment(evidence.deadline)}, {left(evidence, now)}"
        )
    use = evidence.last_use
    if use is not None:
        told.append(
            f"  Last use  {clean(use.call, NAME)} at {moment(use.at)}, {ago(now - use.at)} ago"
        )
    elif "last_use" not in evidence.missing:
        told.append(f"  Last use  none since {moment(evidence.tracked_since) or 'it is known'}")
    if evidence.failed_calls:
        users = f"{evidence.failed_users} user{'s' * (evidence.failed_users != 1)}"
        told.append(f"  Missed    {evidence.failed_calls} failed by {users}, as far as we saw:")
        told += [f"            {user(one, limit)}" for one in evidence.failed_uses]
    else:
        told.append("  Missed    by nobody whom we saw; that proves nothing")
    if evidence.grants is not None:
        told.append(f"  Grants    {some(evidence.grants, evidence.grantees, limit)}")
    if evidence.aliases is not None:
        told.append(f"  Aliases   {some(evidence.aliases, evidence.alias_names, limit)}")
    if evidence.encrypts:
        told.append(f"  Encrypts  {clean(evidence.encrypts, limit)}")
    told += [
        f"  Unknown   {clean(part, NAME).replace('_', ' ')}: {clean(why, limit)}"
        for part, why in evidence.missing.items()
    ]
    return told


def left(evidence: Evidence, now: float) -> str:
    seconds = evidence.deadline - now
    return f"in {ago(seconds)}" if seconds > 0 else "which is over"


def user(one: FailedUse, limit: int) -> str:
    return f"{one.count} by {clean(one.who, limit)}, the last at {moment(one.last_at)}"


def some(count: int, names: tuple[str, ...], limit: int) -> str:
    """How many, and a few of them."""
    if not names:
        return str(count)
    more = ", ..." if count > len(names) else ""
    return f"{count}: {', '.join(clean(one, limit) for one in names)}{more}"
