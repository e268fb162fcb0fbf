"""What botocore raises, as one of our errors: what passes, what people mend, what never will."""

from typing import Any

import pytest
from botocore import exceptions as boto

from monitor.aws import DENIED, PASSING, Aws, error_code, translate
from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.metrics import Metrics


def answer(code: str | None, status: int = 400, **more: Any) -> boto.ClientError:
    details = more if code is None else {"Code": code, "Message": "words of AWS"} | more
    whole: Any = {"Error": details, "ResponseMetadata": {"HTTPStatusCode": status}}
    return boto.ClientError(whole, "DescribeKey")


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        *((answer(code), WorthRetrying, code) for code in sorted(PASSING)),
        *((answer(code), Denied, code) for code in sorted(DENIED)),
        (answer("KMSInvalidStateException"), NotWorthRetrying, "KMSInvalidStateException"),
        (answer("NotFoundException", 404), NotWorthRetrying, "NotFoundException"),
        (answer("Unheard", 500), WorthRetrying, "Unheard"),
        (answer("Unheard", 503), WorthRetrying, "Unheard"),
        (answer("Unheard", 401), Denied, "Unheard"),
        (answer("Unheard", 403), Denied, "Unheard"),
        (answer("Unheard", 418), NotWorthRetrying, "Unheard"),
        # throttling comes with 400 or 403, and is no refusal
        (answer("ThrottlingException", 403), WorthRetrying, "ThrottlingException"),
        # SQS, in both of its spellings
        (answer("AWS.SimpleQueueService.NonExistentQueue"), NotWorthRetrying, "NonExistentQueue"),
        (
            answer("QueueDoesNotExist", QueryErrorCode="AWS.SimpleQueueService.NonExistentQueue"),
            NotWorthRetrying,
            "NonExistentQueue",
        ),
        (answer("KMS.DisabledException"), NotWorthRetrying, "KmsDisabled"),
        (answer("KMS.KMSInvalidStateException"), NotWorthRetrying, "KmsInvalidState"),
        (answer("x" * 500), NotWorthRetrying, "x" * 64),
        (answer(None), NotWorthRetrying, "other"),
        (boto.NoCredentialsError(), Denied, "NoCredentialsError"),
        (
            boto.PartialCredentialsError(provider="p", cred_var="v"),
            Denied,
            "PartialCredentialsError",
        ),
        (
            boto.CredentialRetrievalError(provider="p", error_msg="hunter2"),
            Denied,
            "CredentialRetrievalError",
        ),
        (boto.ParamValidationError(report="r"), NotWorthRetrying, "ParamValidationError"),
        (boto.EndpointConnectionError(endpoint_url="u"), WorthRetrying, "EndpointConnectionError"),
        (boto.ReadTimeoutError(endpoint_url="u"), WorthRetrying, "ReadTimeoutError"),
        (boto.ConnectTimeoutError(endpoint_url="u"), WorthRetrying, "ConnectTimeoutError"),
        (boto.HTTPClientError(error="hunter2"), WorthRetrying, "HTTPClientError"),
        (TimeoutError(), WorthRetrying, "TimeoutError"),
        (ConnectionResetError(), WorthRetrying, "ConnectionResetError"),
        (boto.UnauthorizedSSOTokenError(), WorthRetrying, "UnauthorizedSSOTokenError"),
    ],
)
def test_each_error_is_one_of_ours(error: Exception, kind: type[Exception], code: str) -> None:
    counted, mine = translate(error, "kms:DescribeKey")
    assert type(mine) is kind
    assert counted == error_code(error) == code
    assert str(mine).startswith("kms:DescribeKey: ")
    assert "hunter2" not in str(mine)
    if isinstance(error, boto.ClientError):
        assert getattr(mine, "code", "") == code


def test_no_code_is_both() -> None:
    assert not PASSING & DENIED


def test_an_answer_without_anything_is_no_crash() -> None:
    empty: Any = {}
    assert isinstance(translate(boto.ClientError(empty, "X"), "x")[1], NotWorthRetrying)


async def test_a_call_that_fails_is_counted_and_what_is_not_aws_goes_through() -> None:
    metrics = Metrics()
    aws = Aws(metrics)
    with pytest.raises(WorthRetrying) as caught:
        async with aws.calling("kms", "EnableKey"):
            raise answer("ThrottlingException")
    assert isinstance(caught.value.__cause__, boto.ClientError)
    with pytest.raises(ZeroDivisionError):
        async with aws.calling("kms", "EnableKey"):
            raise ZeroDivisionError
    labels = {"service": "kms", "error": "ThrottlingException"}
    assert metrics.registry.get_sample_value("kms_monitor_client_errors_total", labels) == 1
