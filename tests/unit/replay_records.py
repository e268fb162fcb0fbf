"""CloudTrail records for the tests of replay."""

import gzip
import json
from pathlib import Path
from typing import Any

from monitor.event import Wanted
from monitor.replay.reading import Asked, Reading, read_file
from monitor.replay.times import Span

KEY = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001"
WANTED = Wanted(
    frozenset(
        ("kms.amazonaws.com", name) for name in ("DisableKey", "EnableKey", "ScheduleKeyDeletion")
    )
)
ASKED = Asked(WANTED)


def record(
    name: str = "DisableKey", at: str = "09:14:03", user: str = "mallory", **changes: Any
) -> dict[str, Any]:
    return {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "arn": f"arn:aws:iam::111122223333:user/{user}",
            "accountId": "111122223333",
        },
        "eventTime": f"2026-11-20T{at}Z",
        "eventSource": "kms.amazonaws.com",
        "eventName": name,
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "203.0.113.7",
        "eventID": f"{name} {at}",
        "resources": [{"ARN": KEY, "accountId": "111122223333"}],
        "recipientAccountId": "111122223333",
        **changes,
    }


def write(path: Path, content: Any) -> str:
    """As JSON unless it is bytes; zipped where the name says so."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    return str(path)


def read(path: Path, content: Any, span: Span | None = None) -> Reading:
    return read_file(write(path, content), Asked(WANTED, span or Span()))


def names(reading: Reading) -> list[str]:
    return [json.loads(event)["eventName"] for event in reading.events]
