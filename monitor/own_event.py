"""Events that the daemon makes itself, about what it finds without being told.

They look like CloudTrail records and go the same road, so that detectors, policy and responders
need to know nothing of where a finding comes from. No message from outside can pretend to be one:
see `monitor.detector.OWN`.
"""

import hashlib
from typing import Any

import msgspec

from monitor.clock import iso
from monitor.detector import OWN
from monitor.event import Event


def own_event(
    name: str, place: tuple[str, str], at: float, about: dict[str, Any], *, same: tuple[object, ...]
) -> Event:
    """An event of that name about an account and Region, at a moment (epoch seconds).

    `about` becomes `requestParameters`. `same` is what makes it the same event when it is made
    again, after a restart or by another replica: its id rests on that alone.
    """
    account, region = place
    text = "|".join(str(part) for part in (name, account, region, *same))
    return Event(
        event_time=iso(at),
        event_source=OWN,
        event_name=name,
        aws_region=region,
        request_parameters=msgspec.Raw(msgspec.json.encode(about)),
        event_id=f"own-{hashlib.sha256(text.encode()).hexdigest()[:32]}",
        recipient_account_id=account,
    )
