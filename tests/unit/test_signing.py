"""Signatures after Standard Webhooks 1.0.

The vector is the one of its documentation and libraries.
"""

import base64

import pytest

from monitor.signing import secret_of, signature, signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NAME, AT = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330
BODY = b'{"test": 2432232314}'


def test_the_vector_of_the_standard() -> None:
    right = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature(secret_of(SECRET), NAME, AT, BODY) == right


def test_two_secrets_while_one_replaces_the_other() -> None:
    other = b"k" * 32
    headers = signed([secret_of(SECRET), other], NAME, AT, BODY)
    first, second = headers["webhook-signature"].split(" ")
    assert first == signature(secret_of(SECRET), NAME, AT, BODY)
    assert second == signature(other, NAME, AT, BODY)
    assert headers["webhook-timestamp"] == str(AT)


def test_everything_that_is_sent_is_signed() -> None:
    secret = secret_of(SECRET)
    right = signature(secret, NAME, AT, BODY)
    assert signature(secret, NAME, AT + 1, BODY) != right
    assert signature(secret, NAME + "x", AT, BODY) != right
    assert signature(secret, NAME, AT, BODY + b" ") != right


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "secret",
        SECRET.removeprefix("whsec_"),
        "whsec_!!!",
        "whsec_c2hvcnQ=",
        "é",
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
    ],
)
def test_a_weak_secret_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="must be whsec_") as caught:
        secret_of(text)
    if len(text) > len("whsec_"):
        assert text not in str(caught.value)
