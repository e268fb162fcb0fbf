"""Where dead messages go, in how many calls, and what is deleted afterwards."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from monitor.aws import Aws
from monitor.dlq.explain import Dead
from monitor.dlq.queues import Dlq, Source
from monitor.dlq.redrive import LARGEST_BATCH, batches, by_hand, destination_of, entry
from monitor.dlq.walk import Message
from monitor.errors import WorthRetrying

ONE = Source("one", "https://sqs/111122223333/one", "arn:aws:sqs:eu-west-1:111122223333:one")
TWO = Source("two", "https://sqs/111122223333/two", "arn:aws:sqs:eu-west-1:111122223333:two")
FIFO = Source("three", "https://sqs/1/three.fifo", "arn:aws:sqs:eu-west-1:1:three.fifo")
DLQ = Dlq("dlq", "https://sqs/111122223333/dlq", "eu-west-1", "arn:dlq", (ONE,))


def dead(message_id: str = "1", body: str = "x", **more: Any) -> Dead:
    return Dead(message_id, body, "dlq", **more)


@pytest.mark.parametrize(
    ("message", "sources", "to", "expected"),
    [
        (dead(), (ONE,), None, ONE),
        (dead(), (ONE, TWO), None, None),
        (dead(), (), None, None),
        (dead(), (ONE, TWO), TWO, TWO),
        (dead(source_arn=TWO.arn), (ONE, TWO), None, TWO),
        (dead(attributes={"TARGET_ARN": TWO.arn}), (), None, TWO),
        # What a message says counts only among the queues of the settings.
        (
            dead(attributes={"TARGET_ARN": "arn:aws:sqs:eu-west-1:666666666666:evil"}),
            (),
            None,
            None,
        ),
    ],
)
def test_destination(
    message: Dead, sources: tuple[Source, ...], to: Source | None, expected: Source | None
) -> None:
    dlq = Dlq("dlq", "", "eu-west-1", "", sources)
    assert destination_of(message, dlq, (ONE, TWO), to) == expected


def test_no_batch_is_too_large_or_mixed() -> None:
    messages = [Message(dead(str(n), "x" * 100_000), {}) for n in range(5)]
    messages.append(Message(dead("5", attributes={"TARGET_ARN": TWO.arn}), {}))
    made = batches(messages, lambda one: TWO if one.attributes else ONE)
    assert sorted(len(batch) for _, batch in made) == [1, 1, 2, 2]
    assert all(sum(len(m.dead.body) for m in batch) <= LARGEST_BATCH for _, batch in made)
    assert [one for _, batch in made for one in batch if one.dead.attributes] == [messages[5]]


def test_copy_in_a_fifo_queue_is_not_taken_for_a_repetition() -> None:
    made = entry("0", Message(dead("5f0c"), {}, group_id="key-1"), FIFO)
    assert made.get("MessageGroupId") == "key-1"
    assert made.get("MessageDeduplicationId") == "redrive-5f0c"
    assert "MessageGroupId" not in entry("0", Message(dead(), {}, group_id="key-1"), ONE)


class FakeSqs:
    """A dead-letter queue that notes in which order it is called."""

    def __init__(self, bodies: list[str]) -> None:
        self.hidden: dict[str, str] = {}
        self.messages = {str(number): body for number, body in enumerate(bodies)}
        self.calls: list[str] = []
        self.refused: set[str] = set()
        self.send_fails = False
        self.delete_fails = False
        self.comes_back = False

    async def receive_message(self, **asked: Any) -> dict[str, Any]:
        found = [one for one in self.messages if one not in self.hidden]
        found = found[: asked["MaxNumberOfMessages"]]
        self.hidden |= dict.fromkeys(found, "")
        return {
            "Messages": [
                {"MessageId": one, "Body": self.messages[one], "ReceiptHandle": one}
                for one in found
            ]
        }

    async def send_message_batch(self, **asked: Any) -> dict[str, Any]:
        if self.send_fails:
            raise TimeoutError
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for one in asked["Entries"]:
            body = one["MessageBody"]
            if body in self.refused:
                answer["Failed"].append({"Id": one["Id"], "Code": "No", "SenderFault": True})
                continue
            self.calls.append(f"send {body}")
            answer["Successful"].append({"Id": one["Id"], "MessageId": f"copy of {body}"})
            if self.comes_back:
                self.messages[f"copy of {body}"] = body
        return answer

    async def delete_message_batch(self, **asked: Any) -> dict[str, Any]:
        if self.delete_fails:
            return {"Failed": [{"Id": one["Id"], "SenderFault": False} for one in asked["Entries"]]}
        for one in asked["Entries"]:
            self.calls.append(f"delete {self.messages.pop(one['ReceiptHandle'])}")
        return {}

    async def change_message_visibility_batch(self, **asked: Any) -> dict[str, Any]:
        for one in asked["Entries"]:
            assert one["VisibilityTimeout"] == 0
            self.hidden.pop(one["ReceiptHandle"])
        return {}


class FakeAws:
    def __init__(self, client: FakeSqs) -> None:
        self.client = client

    async def sqs(self, region: str) -> FakeSqs:
        assert region == "eu-west-1"
        return self.client

    @asynccontextmanager
    async def calling(self, service: str, call: str) -> Any:
        try:
            yield
        except TimeoutError as error:
            raise WorthRetrying(f"{service}:{call}") from error


async def redriven(sqs: FakeSqs, chosen: Callable[[Dead], bool] = lambda _: True) -> Any:
    return await by_hand(
        cast("Aws", FakeAws(sqs)),
        DLQ,
        chosen=chosen,
        destination=lambda _: ONE,
        rate=None,
        progress=lambda _moved, _of: None,
        stopping=asyncio.Event(),
    )


async def test_deleted_only_after_it_was_sent() -> None:
    sqs = FakeSqs(["a", "b"])
    result = await redriven(sqs)
    assert (result.sent, result.stayed, result.doubled) == (2, 0, 0)
    assert sqs.calls == ["send a", "send b", "delete a", "delete b"]


async def test_what_is_refused_or_not_chosen_stays_and_is_given_back() -> None:
    sqs = FakeSqs(["a", "b", "c"])
    sqs.refused = {"a"}
    result = await redriven(sqs, lambda one: one.body != "c")
    assert (result.sent, result.stayed) == (1, 1)
    assert list(sqs.messages.values()) == ["a", "c"]
    assert not set(sqs.hidden) & set(sqs.messages)
    assert "one refused some: No" in result.notes[0]


async def test_nothing_is_deleted_when_sending_is_uncertain() -> None:
    sqs = FakeSqs(["a"])
    sqs.send_fails = True
    result = await redriven(sqs)
    assert (result.sent, result.stayed) == (0, 1)
    assert list(sqs.messages) == ["0"]
    assert sqs.hidden == {}


async def test_what_cannot_be_deleted_is_said() -> None:
    sqs = FakeSqs(["a"])
    sqs.delete_fails = True
    result = await redriven(sqs)
    assert (result.sent, result.doubled) == (1, 1)
    assert sqs.hidden == {}


async def test_what_dies_again_meanwhile_does_not_go_in_circles() -> None:
    sqs = FakeSqs(["a"])
    sqs.comes_back = True
    result = await redriven(sqs)
    assert result.sent == 1
    assert "died again" in result.notes[0]
    assert list(sqs.messages) == ["copy of a"]
