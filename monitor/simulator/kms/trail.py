"""Times as CloudTrail writes them."""

from datetime import UTC, datetime

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def trail_time(epoch: float) -> str:
    """`Nov 27, 2026, 9:14:03 AM`: the locale text that CloudTrail uses for deletionDate and kin.

    The zone is not written; it is taken to be UTC. `strftime` is avoided because it follows the
    locale of the process.
    """
    at = datetime.fromtimestamp(epoch, UTC)
    half = "AM" if at.hour < 12 else "PM"
    clock = f"{at.hour % 12 or 12}:{at:%M:%S} {half}"
    return f"{MONTHS[at.month - 1]} {at.day}, {at.year}, {clock}"
