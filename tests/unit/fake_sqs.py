"""An SQS client whose behaviour is scripted, in virtual time."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from monitor.aws import Aws
from monitor.metrics import Metrics

URL = "https://sqs.eu-west-1.amazonaws.com/111122223333/guard"


class LoopClock:
    """Both kinds of time are the event loop's."""

    def now(self) -> float:
        return 1_800_000_000.0 + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def refusal(code: str, status: int = 400, operation: str = "ReceiveMessage") -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "because"},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "HTTPHeaders": {},
                "HostId": "",
                "RequestId": "",
                "RetryAttempts": 0,
            },
        },
        operation,
    )


def message(number: int, *, handle: str = "", receives: int = 1) -> dict[str, Any]:
    return {
        "MessageId": f"m{number}",
        "ReceiptHandle": handle or f"h{number}",
        "Body": f"body {number}",
        "Attributes": {
            "ApproximateReceiveCount": str(receives),
            "SenderId": "AIDASENDER",
            "SentTimestamp": "1800000000000",
        },
    }


class FakeSqs:
    """What it was asked is in `calls`, as (time, operation, parameters)."""

    def __init__(self) -> None:
        self.queue: deque[dict[str, Any]] = deque()
        self.errors: deque[Exception] = deque()
        """Raised by the next receives, one each."""
        self.broken: dict[str, Exception] = {}
        """Raised by every call of an operation."""
        self.failing: Callable[[str, dict[str, Any]], tuple[bool, str] | None] = lambda *_: None
        """(operation, entry) -> SenderFault and code of one that fails."""
        self.attributes: dict[str, str] = {"RedrivePolicy": "{}"}
        self.others: dict[str, dict[str, str]] = {}
        """Attributes of other queues, by name."""
        self.calls: list[tuple[float, str, dict[str, Any]]] = []
        self.news = asyncio.Event()
        self.polls = 0
        self.latency = 0.0

    def put(self, *messages: dict[str, Any]) -> None:
        self.queue.extend(messages)
        self.news.set()
        self.news = asyncio.Event()

    def log(self, operation: str, parameters: dict[str, Any]) -> None:
        self.calls.append((asyncio.get_running_loop().time(), operation, parameters))

    async def receive_message(self, **parameters: Any) -> dict[str, Any]:
        self.log("receive", parameters)
        if self.errors:
            raise self.errors.popleft()
        self.polls += 1
        await asyncio.sleep(0.001)
        try:
            try:
                async with asyncio.timeout(parameters["WaitTimeSeconds"]):
                    while not self.queue:
                        await self.news.wait()
            except TimeoutError:
                return {}
            most = min(parameters["MaxNumberOfMessages"], len(self.queue))
            return {"Messages": [self.queue.popleft() for _ in range(most)]}
        finally:
            self.polls -= 1

    async def delete_message_batch(self, **parameters: Any) -> dict[str, Any]:
        return await self.batch("delete", parameters)

    async def change_message_visibility_batch(self, **parameters: Any) -> dict[str, Any]:
        return await self.batch("hide", parameters)

    async def batch(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self.log(operation, parameters)
        entries = parameters["Entries"]
        assert 1 <= len(entries) <= 10
        assert len({one["Id"] for one in entries}) == len(entries), "BatchEntryIdsNotDistinct"
        await asyncio.sleep(self.latency)
        if operation in self.broken:
            raise self.broken[operation]
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in entries:
            if fault := self.failing(operation, entry):
                failed = {"Id": entry["Id"], "SenderFault": fault[0], "Code": fault[1]}
                answer["Failed"].append(failed)
            else:
                answer["Successful"].append({"Id": entry["Id"]})
        return {name: entries for name, entries in answer.items() if entries}

    async def get_queue_attributes(self, **parameters: Any) -> dict[str, Any]:
        self.log("attributes", parameters)
        name = parameters["QueueUrl"].rpartition("/")[2]
        return {"Attributes": self.others.get(name, self.attributes)}

    async def get_queue_url(self, **parameters: Any) -> dict[str, Any]:
        self.log("get_queue_url", parameters)
        if error := self.broken.get("get_queue_url"):
            raise error
        return {"QueueUrl": f"{URL.rpartition('/')[0]}/{parameters['QueueName']}"}

    def entries(self, operation: str) -> list[tuple[str, int | None]]:
        """Every entry that was sent, as (handle, visibility)."""
        return [
            (entry["ReceiptHandle"], entry.get("VisibilityTimeout"))
            for _, name, parameters in self.calls
            if name == operation
            for entry in parameters["Entries"]
        ]

    def times(self, operation: str) -> list[float]:
        return [at for at, name, _ in self.calls if name == operation]


class FakeAws(Aws):
    """The real door, with its translation of errors, onto a fake client."""

    def __init__(self, fake: FakeSqs, metrics: Metrics) -> None:
        super().__init__(metrics)
        self.fake = fake

    async def client(self, service: str, region: str, account: str = "") -> Any:
        assert service == "sqs"
        return self.fake
