"""Sign, Verify, GetPublicKey, GenerateMac, VerifyMac."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac

from monitor.simulator.kms import asymmetric
from monitor.simulator.kms.call import Call, Operation
from monitor.simulator.kms.keys import Key
from monitor.simulator.kms.specs import SPECS
from monitor.simulator.kms.states import unsupported
from monitor.simulator.kms.usage import require, stop_dry_run, unavailable, used
from monitor.simulator.kms.wire import blob
from monitor.simulator.words import Refusal, Reply

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "HMAC_SHA_224": hashes.SHA224,
    "HMAC_SHA_256": hashes.SHA256,
    "HMAC_SHA_384": hashes.SHA384,
    "HMAC_SHA_512": hashes.SHA512,
}


def sign(call: Call) -> Reply:
    key, algorithm, is_digest = _signing(call)
    signature = asymmetric.sign(key, algorithm, call.parameters["Message"], is_digest=is_digest)
    used(call, key)
    body = {"KeyId": key.arn, "Signature": blob(signature), "SigningAlgorithm": algorithm}
    return call.reply(key, body=body)


def verify(call: Call) -> Reply:
    key, algorithm, is_digest = _signing(call)
    message, signature = call.parameters["Message"], call.parameters["Signature"]
    if not asymmetric.verify(key, algorithm, message, signature, is_digest=is_digest):
        raise Refusal("KMSInvalidSignatureException", "")
    used(call, key)
    body = {"KeyId": key.arn, "SignatureValid": True, "SigningAlgorithm": algorithm}
    return call.reply(key, body=body)


def _signing(call: Call) -> tuple[Key, str, bool]:
    key = call.key(aliases=True)
    algorithm = call.parameters["SigningAlgorithm"]
    require(call, key, "SIGN_VERIFY", "SigningAlgorithms", algorithm)
    kind = call.get("MessageType", "RAW")
    if kind not in {"RAW", "DIGEST"}:
        raise Refusal("ValidationException", f"MessageType {kind} does not go with {algorithm}")
    stop_dry_run(call)
    return key, algorithm, kind == "DIGEST"


def get_public_key(call: Call) -> Reply:
    key = call.key(aliases=True)
    if key.symmetric or key.usage == "GENERATE_VERIFY_MAC":
        raise unsupported(key)
    body = {
        "KeyId": key.arn,
        "PublicKey": blob(asymmetric.public_der(key)),
        "KeySpec": key.spec,
        "CustomerMasterKeySpec": key.spec,
        "KeyUsage": key.usage,
        **SPECS[key.spec].algorithms(key.usage),
    }
    return call.reply(key, body=body)


def generate_mac(call: Call) -> Reply:
    key, algorithm, code = _mac(call)
    used(call, key)
    body = {"KeyId": key.arn, "Mac": blob(code.finalize()), "MacAlgorithm": algorithm}
    return call.reply(key, body=body)


def verify_mac(call: Call) -> Reply:
    key, algorithm, code = _mac(call)
    try:
        code.verify(call.parameters["Mac"])
    except InvalidSignature as error:
        raise Refusal("KMSInvalidMacException", "") from error
    used(call, key)
    body = {"KeyId": key.arn, "MacValid": True, "MacAlgorithm": algorithm}
    return call.reply(key, body=body)


def _mac(call: Call) -> tuple[Key, str, hmac.HMAC]:
    key = call.key(aliases=True)
    algorithm = call.parameters["MacAlgorithm"]
    require(call, key, "GENERATE_VERIFY_MAC", "MacAlgorithms", algorithm)
    stop_dry_run(call)
    material = key.current_material
    if material is None or material.secret is None:
        raise unavailable(key)
    code = hmac.HMAC(material.secret, _HASHES[algorithm]())
    code.update(call.parameters["Message"])
    return key, algorithm, code


OPERATIONS: dict[str, Operation] = {
    "Sign": sign,
    "Verify": verify,
    "GetPublicKey": get_public_key,
    "GenerateMac": generate_mac,
    "VerifyMac": verify_mac,
}
