"""HTTP sessions of aiobotocore that share one TLS context.

Each would read the certificates again: 0.7 MB and 13 ms for every client. aiobotocore has no option for it; if
it ever builds its contexts otherwise, they are merely no longer shared, and a test says so.
"""

from typing import Any, ClassVar, cast

from aiobotocore.httpsession import AIOHTTPSession


class SharedTls(AIOHTTPSession):
    """One context for each way to verify; whoever brings a certificate of his own has his own."""

    _verify: Any
    _cert_file: Any
    contexts: ClassVar[dict[object, Any]] = {}

    def _build_verify_context(self) -> Any:
        build = cast("Any", super())._build_verify_context  # noqa: SLF001
        if self._cert_file:
            return build()  # a certificate of our own is added to it, and not for everybody
        if self._verify not in self.contexts:
            self.contexts[self._verify] = build()
        return self.contexts[self._verify]
