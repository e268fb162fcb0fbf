"""Who calls in the story: AWS clients whose access key id is the user's name."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

REGION = "eu-west-1"
ACCOUNT = "111122223333"
ADDRESSES = {"admin": "198.51.100.10", "mallory": "203.0.113.7", "intern": "198.51.100.23"}
"""Documentation addresses (RFC 5737), which the simulated CloudTrail shows as theirs."""


class People:
    """Clients by user and service."""

    def __init__(self, clients: dict[tuple[str, str], Any]) -> None:
        self.clients = clients

    def kms(self, who: str) -> Any:
        return self.clients[who, "kms"]

    def sqs(self, who: str) -> Any:
        return self.clients[who, "sqs"]

    def cloudtrail(self, who: str) -> Any:
        return self.clients[who, "cloudtrail"]


@asynccontextmanager
async def people(endpoint_url: str) -> AsyncIterator[People]:
    # Any: the stubs want the services by name, here they come from a list.
    session: Any = get_session()
    wanted = [(who, "kms") for who in ADDRESSES] + [
        ("mallory", "sqs"),
        ("mallory", "cloudtrail"),
        ("admin", "sqs"),
        ("admin", "cloudtrail"),
    ]
    async with AsyncExitStack() as stack:
        clients = {
            (who, service): await stack.enter_async_context(
                session.create_client(
                    service,
                    region_name=REGION,
                    endpoint_url=endpoint_url,
                    aws_access_key_id=who,
                    aws_secret_access_key="any",
                    config=AioConfig(
                        connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1}
                    ),
                )
            )
            for who, service in wanted
        }
        for (who, _), client in clients.items():
            client.meta.events.register("before-sign", called_from(ADDRESSES[who]))
        yield People(clients)


def called_from(address: str) -> Any:
    """A hook that makes the simulator take `address` for the caller's."""

    def add_header(request: Any, **_: Any) -> None:
        request.headers["X-Forwarded-For"] = address

    return add_header
