"""The only door to AWS: one session, and a client for each account, Region and service.

KMS control calls are neither cross-account nor cross-Region (aws-facts 3.3), so there is a client
for every pair: see `monitor.aws_clients`. Member accounts are entered by AssumeRole with an
ExternalId; botocore's provider refreshes the credentials.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from copy import copy
from typing import TYPE_CHECKING, Any, Self, cast

from aiobotocore.config import AioConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from monitor.account_metrics import Service
from monitor.aws_clients import EXPIRED, Clients
from monitor.clock import Clock, SystemClock
from monitor.entry import Entry
from monitor.errors import Denied, MonitorError, NotWorthRetrying, WorthRetrying
from monitor.metrics import OTHER, Metrics
from monitor.shared_tls import SharedTls

if TYPE_CHECKING:
    from types_aiobotocore_cloudtrail.client import CloudTrailClient
    from types_aiobotocore_dynamodb.client import DynamoDBClient
    from types_aiobotocore_kms.client import KMSClient
    from types_aiobotocore_sns.client import SNSClient
    from types_aiobotocore_sqs.client import SQSClient
    from types_aiobotocore_sts.client import STSClient

Refusal = ClientError
"""What a call raises that AWS says no to, before `Aws.calling` makes it one of ours."""

DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthFailure",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
"""Only people can mend these."""

PASSING = frozenset(
    {
        "ConflictException",
        "DependencyTimeoutException",
        "ExpiredToken",
        "ExpiredTokenException",
        "InternalError",
        "InternalFailure",
        "KMSInternalException",
        "LimitExceededException",
        "RequestAbortedException",
        "RequestExpired",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeTooSkewed",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "Throttled",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""These pass by themselves. Beyond them every HTTP status of 500 or more counts as passing."""

READING = ("Describe", "Get", "Head", "List", "Lookup", "Select")
"""How calls begin that change nothing. Any other counts as writing."""


TIDY_SECONDS = 60.0
"""Between two looks for clients that nobody calls."""


class Aws:
    """Clients for every place. `async with` closes them all."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        entries: Iterable[Entry] = (),
        endpoint_url: str | None = None,
        pool: int = 50,
        home_region: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`pool`: connections for each client; long polls hold one each, so more than pollers."""
        self.metrics = metrics
        self.entries = {entry.account: entry for entry in entries}
        self.endpoint_url = endpoint_url
        self.home_region = home_region
        self.may_write: Callable[[], str | None] = lambda: None
        self.config = AioConfig(
            max_pool_connections=pool,
            connect_timeout=5,
            # Above SQS's longest wait of 20 s, or every quiet long poll would count as a failure.
            read_timeout=30,
            retries={"mode": "adaptive", "max_attempts": 4},
            user_agent_extra="kms-monitor",
            warm_up_loader_caches=True,
            http_session_cls=SharedTls,
        )
        self.clients = Clients(
            self.entries,
            self.config,
            metrics.accounts,
            clock or SystemClock(),
            endpoint_url=endpoint_url,
            home_region=home_region,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def guarded(self, may_write: Callable[[], str | None]) -> "Aws":
        """The same door for who repairs: no writing call goes through while `may_write` says why.

        It shares the clients, and is closed with this one.
        """
        door = copy(self)
        door.may_write = may_write
        return door

    async def close(self) -> None:
        await self.clients.close()

    async def keep_tidy(self) -> None:
        """Close clients that nobody calls any more; for ever."""
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            await self.clients.tidy()

    async def enter_by(self, entry: Entry) -> None:
        """Enter an account in this way from now on."""
        self.clients.left.discard(entry.account)
        if self.entries.get(entry.account) != entry:
            self.entries[entry.account] = entry
            await self.clients.forget(entry.account)

    async def leave(self, account: str) -> None:
        """Forget how to enter an account, with its credentials and clients."""
        if account in self.entries:
            self.clients.left.add(account)
            await self.clients.forget(account)
            del self.entries[account]

    def enter(self, entry: Entry) -> None:
        """Know one more way in. Before its first use."""
        self.entries[entry.account] = entry

    async def kms(self, account: str, region: str) -> "KMSClient":
        """KMS of one account in one Region."""
        return cast("KMSClient", await self.client("kms", region, account))

    async def cloudtrail(self, account: str, region: str) -> "CloudTrailClient":
        return cast("CloudTrailClient", await self.client("cloudtrail", region, account))

    async def sqs(self, region: str, entry: str = "") -> "SQSClient":
        """SQS, with our own credentials or those of an entry: a queue may be somebody else's."""
        return cast("SQSClient", await self.client("sqs", region, entry))

    async def dynamodb(self, region: str, entry: str = "") -> "DynamoDBClient":
        """DynamoDB, with our own credentials or those of an entry: the table may be elsewhere."""
        return cast("DynamoDBClient", await self.client("dynamodb", region, entry))

    async def s3(self, region: str) -> Any:
        """S3 with our own credentials: a bucket of another account lets us in by its policy."""
        return await self.client("s3", region)

    async def sns(self, region: str) -> "SNSClient":
        """SNS can only be published to in the topic's own Region (aws-facts 6)."""
        return cast("SNSClient", await self.client("sns", region))

    async def identity(self, account: str, region: str) -> str:
        """The ARN that our calls into this account show in CloudTrail."""
        sts = cast("STSClient", await self.client("sts", region, account))
        async with self.calling("sts", "GetCallerIdentity"):
            return (await sts.get_caller_identity())["Arn"]

    async def client(self, service: str, region: str, account: str = "") -> Any:
        """The shared client; opened when it is called. No account: our own credentials."""
        return self.clients.lend(service, region, account, self.may_write)

    @asynccontextmanager
    async def calling(self, service: Service, call: str) -> AsyncIterator[None]:
        """Around one call: AWS's errors become ours, counted by service and by a bounded code.

        Raises `WorthRetrying` for a writing call while the kill switch is on.
        """
        if not call.startswith(READING) and (stopped := self.may_write()) is not None:
            raise WorthRetrying(f"{service}:{call}: not sent: {stopped}")
        try:
            yield
        except (ClientError, BotoCoreError, TimeoutError, OSError) as error:
            code, mine = translate(error, f"{service}:{call}")
            self.metrics.client_errors.labels(service, code).inc()
            if isinstance(mine, Denied) or code in EXPIRED:
                self.metrics.accounts.denials.labels(service).inc()
            raise mine from error


def error_code(error: Exception) -> str:
    """AWS's error code, or the class's name. SQS has two spellings: the new one is preferred."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code = str(details.get("QueryErrorCode") or details.get("Code") or OTHER)
        if code.startswith("KMS."):  # SQS's older spelling of `KmsDisabled` and its like
            code = "Kms" + code.removeprefix("KMS.").removeprefix("KMS").removesuffix("Exception")
        return code.rpartition(".")[2][:64]
    return type(error).__name__


def translate(error: Exception, call: str) -> tuple[str, MonitorError]:
    """An error of botocore's as one of ours, with the code that it is counted under."""
    code = error_code(error)
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        # AWS's message names the caller and the resource, and nothing secret.
        text = f"{call}: {code}: {error.response.get('Error', {}).get('Message', '')}"
        if code in PASSING or status >= 500:
            return code, WorthRetrying(text, code=code)
        if code in DENIED or status in {401, 403}:
            return code, Denied(text, code=code)
        return code, NotWorthRetrying(text, code=code)
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return code, Denied(f"{call}: no AWS credentials: {code}")
    if isinstance(error, ParamValidationError):
        return code, NotWorthRetrying(f"{call}: {code}: {error}")
    if isinstance(error, HTTPClientError | BotoConnectionError | TimeoutError | OSError):
        return code, WorthRetrying(f"{call}: {code}: AWS cannot be reached")
    # A broken answer, a token file that is not there yet: nothing says that it stays so.
    return code, WorthRetrying(f"{call}: {code}")
