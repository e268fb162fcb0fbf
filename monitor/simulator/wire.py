"""How AWS calls look on the wire: whose they are, what they ask, how they are answered.

The caller, Region and service stand in the SigV4 credential scope (IAM user guide, "Signature
Version 4"); the operation stands in `X-Amz-Target` (AWS JSON 1.0 and 1.1) or in the form field
`Action` (Query protocol). Signatures are not checked.
"""

import html
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from monitor.simulator.words import Refusal

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came in; header names are lower case."""

    method: str = "POST"
    raw_path: str = "/"
    """Still percent-encoded, because S3 keys may hold an encoded slash."""
    query: str = ""
    headers: Mapping[str, str]
    body: bytes = b""
    peer: str = "127.0.0.1"

    @property
    def source_ip(self) -> str:
        """The address that CloudTrail shows; `X-Forwarded-For` sets it, so a demo can choose."""
        return self.headers.get("x-forwarded-for", self.peer).split(",")[0].strip()


class Outgoing(msgspec.Struct, kw_only=True):
    """An answer as it goes out."""

    status: int = 200
    headers: dict[str, str]
    body: bytes = b""


class Scope(msgspec.Struct, frozen=True):
    """The credential scope of a request."""

    access_key_id: str
    region: str
    service: str


class Parameters(dict[str, Any]):
    """A request's members; asking for a required one that is not there refuses the call."""

    def __missing__(self, name: str) -> Any:
        member = name[:1].lower() + name[1:]
        raise Refusal(
            "ValidationException",
            f"1 validation error detected: Value null at '{member}' failed to satisfy constraint: "
            "Member must not be null",
        )


def scope_of(request: Incoming) -> Scope:
    """Read the credential scope from the header or a presigned URL; raises Refusal without one."""
    text = request.headers.get("authorization", "")
    signed = parse_qs(request.query).get("X-Amz-Credential")
    if signed and not text:
        text = f"Credential={signed[0]}"
    if not text:
        raise Refusal(
            "MissingAuthenticationTokenException",
            "Request is missing Authentication Token",
            status=403,
        )
    found = _CREDENTIAL.search(text)
    if found is None:
        raise Refusal(
            "IncompleteSignatureException",
            "Authorization header has no 'Credential=KEY/DATE/REGION/SERVICE/aws4_request'.",
            status=403,
        )
    return Scope(found[1], found[2], found[3])


def protocol_of(service: str, request: Incoming) -> str:
    """Name the protocol a request speaks: `json`, `query` or `xml` (S3)."""
    if "x-amz-target" in request.headers:
        return "json"
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    return "query" if form and service != "s3" else "xml"


def question_of(request: Incoming, protocol: str) -> tuple[str, Parameters]:
    """Take operation and members out of a request of the JSON or the Query protocol.

    Query members keep their flat names (`Tags.member.1.Key`), which is all that STS needs.
    """
    if protocol == "json":
        operation = request.headers["x-amz-target"].rpartition(".")[2]
        try:
            members = json.loads(request.body or b"{}")
        except ValueError as error:
            raise Refusal("SerializationException", "The body is not JSON.") from error
        if not isinstance(members, dict):
            raise Refusal("SerializationException", "The body is not a JSON object.")
        return operation, Parameters(members)
    form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    form.pop("Version", None)
    operation = form.pop("Action", "")
    if not operation:
        raise Refusal("MissingAction", "No Action parameter in the request.")
    return operation, Parameters(form)


def answer(body: Mapping[str, Any], *, operation: str, protocol: str, request_id: str) -> Outgoing:
    """Write an allowed call's answer in the JSON 1.1 or the Query protocol."""
    if protocol == "json":
        return _json(200, body, request_id)
    text = (
        f'<{operation}Response xmlns="{_STS_NAMESPACE}">'
        f"<{operation}Result>{_xml(body)}</{operation}Result>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        f"</{operation}Response>"
    )
    return _text(200, text, request_id)


def refused(refusal: Refusal, *, protocol: str, request_id: str) -> Outgoing:
    """Write a refusal as an error of the protocol."""
    if protocol == "json":
        out = _json(
            refusal.status, {"__type": refusal.code, "message": refusal.message}, request_id
        )
        out.headers["x-amzn-ErrorType"] = refusal.code
        return out
    error = _xml({"Code": refusal.code, "Message": refusal.message})
    if protocol == "query":
        kind = "Sender" if refusal.status < 500 else "Receiver"
        text = (
            f"<ErrorResponse><Error><Type>{kind}</Type>{error}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    else:
        text = f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
    return _text(refusal.status, text, request_id)


def _json(status: int, body: Mapping[str, Any], request_id: str) -> Outgoing:
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": request_id}
    return Outgoing(status=status, headers=headers, body=json.dumps(body).encode())


def _text(status: int, text: str, request_id: str) -> Outgoing:
    headers = {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}
    return Outgoing(status=status, headers=headers, body=text.encode())


def _xml(members: Mapping[str, Any]) -> str:
    return "".join(f"<{name}>{_value(value)}</{name}>" for name, value in members.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return _xml(value)
    if isinstance(value, list):
        return "".join(f"<member>{_value(one)}</member>" for one in value)
    return html.escape(str(value), quote=False)
