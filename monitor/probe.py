"""Asks a running daemon how it is: for containers without curl, and for people."""

import http.client
import json
from urllib.parse import urlsplit

PATIENCE = 3.0
"""Seconds. A daemon that takes longer to say how it is does not move."""


def ask(url: str) -> tuple[bool, str]:
    """Whether all is well there, and what there is to say about it."""
    parts = urlsplit(url)
    try:
        if parts.scheme != "http" or not parts.hostname:
            return False, f"{url} is not an http:// address"
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    except ValueError as error:
        return False, f"{url}: {error}"
    try:
        connection.request("GET", parts.path or "/healthz")
        answer = connection.getresponse()
        body = answer.read(65536)
    except (OSError, http.client.HTTPException) as error:
        return False, f"{url} does not answer: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return answer.status == http.client.OK, f"{url}: {answer.status} {told(body)}".rstrip()


def told(body: bytes) -> str:
    """The status and the problems that a probe's answer names."""
    try:
        answer = json.loads(body)
        problems = dict(answer["problems"])
        return "; ".join([answer["status"], *(f"{part}: {why}" for part, why in problems.items())])
    except (ValueError, KeyError, TypeError):
        return ""
