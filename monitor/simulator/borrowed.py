"""The one door to moto, which plays SQS, SNS, S3, DynamoDB, IAM, Secrets Manager and SSM here.

moto's WSGI application is called in one thread, one call at a time: its backends are not safe
from two receives taking the same message. No call may therefore wait, so long polls are done
here, without a thread: see `receive`. moto's state belongs to the process, so only one simulator
can be open at a time.
"""

import asyncio
import functools
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec
from botocore.parsers import create_parser
from moto.core.base_backend import BackendDict
from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from werkzeug.exceptions import NotFound
from werkzeug.test import run_wsgi_app

from monitor.simulator.wire import Incoming, Outgoing

SERVICES = frozenset({"sqs", "sns", "s3", "dynamodb", "iam", "secretsmanager", "ssm"})

_LOOK_AGAIN_SECONDS = 0.1
"""How often a long poll looks for messages whose visibility timeout has run out."""
_MAX_WAIT_SECONDS = 20

T = TypeVar("T")


class Question(msgspec.Struct, frozen=True):
    """What a request to one of moto's services asks."""

    service: str
    operation: str
    parameters: dict[str, Any]
    model: Any
    """botocore's model of the operation."""
    protocol: str


class Borrowed:
    """moto's services, as long as the simulator is open."""

    _open: ClassVar[bool] = False

    def __init__(self) -> None:
        if Borrowed._open:
            raise RuntimeError(
                "a simulator is open in this process already; moto can play only one"
            )
        Borrowed._open = True
        self._application = DomainDispatcherApplication(create_backend_app)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="moto")
        self._news = asyncio.Event()
        self._closing = False
        BackendDict.reset()

    def release(self) -> None:
        """Let every long poll answer at once, because the end is near."""
        self._closing = True
        self._wake_polls()

    def close(self) -> None:
        """Forget everything."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        BackendDict.reset()
        Borrowed._open = False

    async def call(self, request: Incoming, *, account: str, long_poll: bool = False) -> Outgoing:
        """Let moto answer a request in the name of an account."""
        if long_poll:
            return await self._receive(request, account)
        answer = await self._in_thread(self._answer, request, account)
        self._wake_polls()
        return answer

    async def ask(self, request: Incoming, service: str) -> Question | None:
        """Find out which operation a request means; None if the service has no such operation."""
        return await self._in_thread(_question, request, service)

    async def put_message(self, queue_arn: str, body: str, *, group_id: str | None = None) -> bool:
        """Put a message on a queue; False if there is no such queue or it does not take it."""
        _, _, _, region, account, name = queue_arn.split(":", 5)

        def put() -> bool:
            try:
                sqs_backends[account][region].send_message(name, body, group_id=group_id)
            except ServiceException:
                return False
            return True

        done = await self._in_thread(put)
        self._wake_polls()
        return done

    async def publish(self, topic_arn: str, body: str) -> bool:
        """Publish to a topic; False if the topic does not exist."""
        _, _, _, region, account, _ = topic_arn.split(":", 5)

        def publish() -> bool:
            backend = sns_backends[account][region]
            if topic_arn not in backend.topics:
                return False
            backend.publish(body, arn=topic_arn)
            return True

        done = await self._in_thread(publish)
        self._wake_polls()
        return done

    async def receive(self, queue_arn: str, most: int) -> list[Any]:
        """Take moto's messages that can be received now, as a poller of Lambda does."""
        _, _, _, region, account, name = queue_arn.split(":", 5)
        backend = sqs_backends[account][region]
        hidden = int(_queue(queue_arn).visibility_timeout)
        return await self._in_thread(backend.receive_message, name, most, 0, hidden)

    async def delete(self, queue_arn: str, receipt_handle: str) -> None:
        """Delete a message that was received."""
        _, _, _, region, account, name = queue_arn.split(":", 5)
        await self._in_thread(sqs_backends[account][region].delete_message, name, receipt_handle)

    async def dead_letter_sources(self, queue_arn: str) -> list[str] | None:
        """List the queues whose dead-letter queue this is; None if there is no such queue."""
        return await self._in_thread(_dead_letter_sources, queue_arn)

    async def waiting(self, queue_arn: str) -> int:
        """Count the messages of a queue that could be received now."""
        return await self._in_thread(lambda: len(_queue(queue_arn).messages))

    async def move_messages(self, queue_arn: str, target_arn: str, most: int) -> tuple[int, bool]:
        """Move messages out of a dead-letter queue as new ones; how many were moved.

        Without a target they go to where they came from. False: one did not come from a queue.
        """
        moved = await self._in_thread(_move_messages, queue_arn, target_arn, most)
        self._wake_polls()
        return moved

    async def inline_policies(
        self, accounts: Sequence[str]
    ) -> dict[tuple[str, str, str], list[str]]:
        """The inline policies of all users and roles, by account, `user` or `role`, and name."""

        def collect() -> dict[tuple[str, str, str], list[str]]:
            return {
                (account, kind, one.name): list(one.policies.values())
                for account in accounts
                for backend in [iam_backends[account]["aws"]]
                for kind, those in (("user", backend.users), ("role", backend.roles))
                for one in those.values()
            }

        return await self._in_thread(collect)

    async def create_queue(self, account: str, region: str, name: str, **attributes: str) -> str:
        """Make a queue and return its ARN."""
        queue = await self._in_thread(
            sqs_backends[account][region].create_queue, name, {}, **attributes
        )
        return str(queue.queue_arn)

    async def create_topic(self, account: str, region: str, name: str, *, queue_arn: str) -> str:
        """Make a topic to which a queue is subscribed, not raw, and return its ARN."""

        def create() -> str:
            backend = sns_backends[account][region]
            topic_arn = str(backend.create_topic(name).arn)
            backend.subscribe(topic_arn, queue_arn, "sqs")
            return topic_arn

        return await self._in_thread(create)

    async def _receive(self, request: Incoming, account: str) -> Outgoing:
        loop = asyncio.get_running_loop()
        wait, prompt, queue = await self._in_thread(_without_wait, request, account)
        deadline = loop.time() + wait
        while True:
            news = self._news
            left = deadline - loop.time()
            last = queue is None or left <= 0 or self._closing
            if last or queue.messages:
                answer = await self._in_thread(self._answer, prompt, account)
                if last or answer.status != 200 or _has_messages(answer):
                    return answer
            try:
                async with asyncio.timeout(min(left, _LOOK_AGAIN_SECONDS)):
                    await news.wait()
            except TimeoutError:
                pass

    def _wake_polls(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _in_thread(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, functools.partial(function, *args, **kwargs)
        )

    def _answer(self, request: Incoming, account: str) -> Outgoing:
        # moto takes the account from this header before it looks at access keys, and the Region
        # from the user agent before it looks at the credential scope: hence no user agent.
        asked = _moto_request(request, {"x-moto-account-id": account})
        asked.environ.pop("HTTP_USER_AGENT", None)
        chunks, status, headers = run_wsgi_app(self._application, asked.environ, buffered=True)
        ours = _OURS - {"content-length"} if request.method == "HEAD" else _OURS
        kept = {name: value for name, value in headers.items() if name.lower() not in ours}
        return Outgoing(status=int(status.split()[0]), headers=kept, body=b"".join(chunks))


_OURS = frozenset({"content-length", "date", "server", "transfer-encoding", "connection", "status"})
"""Headers that the HTTP server itself writes, or that moto only uses within."""


def outcome_of(question: Question, answer: Outgoing) -> dict[str, Any]:
    """Read an answer of moto by botocore's model; a refused call has the member `Error`."""
    parsed: dict[str, Any] = create_parser(question.protocol).parse(
        {"body": answer.body, "headers": answer.headers, "status_code": answer.status},
        question.model.output_shape,
    )
    parsed.pop("ResponseMetadata", None)
    return parsed


def _queue(arn: str) -> Any:
    _, _, _, region, account, name = arn.split(":", 5)
    return sqs_backends[account][region].queues.get(name)


def _dead_letter_sources(arn: str) -> list[str] | None:
    _, _, _, region, account, name = arn.split(":", 5)
    if _queue(arn) is None:
        return None
    sources = sqs_backends[account][region].list_dead_letter_source_queues(name)
    return [str(one.queue_arn) for one in sources]


def _move_messages(arn: str, target_arn: str, most: int) -> tuple[int, bool]:
    _, _, _, region, account, _ = arn.split(":", 5)
    queue = _queue(arn)
    sources = [_queue(one) for one in _dead_letter_sources(arn) or ()]
    messages = queue.messages[:most]
    for moved, message in enumerate(messages):
        # moto does not note where a message died, but only in its own queue is it received so often.
        came_from = (
            one.queue_arn
            for one in sources
            if message.approximate_receive_count >= one.redrive_policy["maxReceiveCount"]
        )
        target = target_arn or next(came_from, None)
        if target is None:
            return moved, False
        sqs_backends[account][region].send_message(
            target.rpartition(":")[2],
            message.body,
            message_attributes=message.message_attributes,
            deduplication_id=message.deduplication_id,
            group_id=message.group_id,
            system_attributes=message.system_attributes,
        )
        queue._messages.remove(message)  # noqa: SLF001 - moto deletes only what was received
        queue.pending_messages.discard(message)
    return len(messages), True


def _moto_request(request: Incoming, extra: dict[str, str]) -> Request:
    host = request.headers.get("host", "127.0.0.1")
    target = request.raw_path + (f"?{request.query}" if request.query else "")
    made = Request.from_primitives(
        request.method, f"http://{host}{target}", {**request.headers, **extra}, request.body
    )
    made.environ["RAW_URI"] = target
    return made


def _question(request: Incoming, service: str) -> Question | None:
    asked = _moto_request(request, {})
    try:
        operation, from_path = get_service_router(service).match(asked)
    except (NotFound, NotImplementedError):  # the latter: not in a protocol of the service
        return None
    model = get_service_model(service)
    protocol = determine_request_protocol(model, asked.content_type)
    parser = PROTOCOL_PARSERS[protocol](operation)
    parameters = parser.parse(
        {
            "method": asked.method,
            "values": asked.values,
            "headers": asked.headers,
            "body": asked.data,
            "url_path": asked.path,
            "url_params": from_path,
        }
    )
    assert isinstance(operation, OperationModel)
    return Question(service, operation.name, dict(parameters), operation, protocol)


def _without_wait(request: Incoming, account: str) -> tuple[float, Incoming, Any]:
    """Split a receive into how long it waits and a request that does not, and find its queue."""
    if "x-amz-target" in request.headers:
        members = json.loads(request.body)
        body = json.dumps(members | {"WaitTimeSeconds": 0}).encode()
    else:
        members = dict(parse_qsl(request.body.decode()))
        body = urlencode(members | {"WaitTimeSeconds": "0"}).encode()
    region = request.headers.get("authorization", "//us-east-1").split("/")[2]
    url = str(members.get("QueueUrl") or request.raw_path)
    queue = sqs_backends[account][region].queues.get(url.rpartition("/")[2])
    wait = members.get("WaitTimeSeconds")
    if wait is None and queue is not None:
        wait = queue.attributes["ReceiveMessageWaitTimeSeconds"]
    seconds = int(wait or 0)
    if not 0 <= seconds <= _MAX_WAIT_SECONDS or queue is None:
        return 0, request, None  # moto says what is wrong
    headers = {name: value for name, value in request.headers.items() if name != "content-length"}
    prompt = msgspec.structs.replace(request, body=body, headers=headers)
    return seconds, prompt, queue


def _has_messages(answer: Outgoing) -> bool:
    if answer.body.lstrip().startswith(b"{"):
        return bool(json.loads(answer.body).get("Messages"))
    return b"<Message>" in answer.body
