"""Our own strict, in-memory AWS KMS: states, errors, imports, policies, quotas; free of I/O.

    kms = Kms(now=clock)
    reply = kms.call("DisableKey", {"KeyId": key_id}, caller=caller, account=..., region=...)

`states` holds the table of what is allowed in which state; `lifecycle`, `rotation`, `access`,
`aliases`, `tags`, `imports`, `replicas`, `ciphers`, `signatures` and `stores` are the operations;
`call` finds and guards the key that a call means; `ageing` is what time does by itself.
"""

from monitor.simulator.kms.service import Kms

__all__ = ["Kms"]
