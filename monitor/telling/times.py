"""Times for people. Pure."""

from monitor.clock import iso


def moment(epoch: float) -> str | None:
    """ISO-8601, or None where there is no such moment."""
    try:
        return iso(epoch) if epoch else None
    except (ValueError, OverflowError, OSError):
        return None


def ago(seconds: float) -> str:
    """Roughly, in the unit that people would say it in."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
