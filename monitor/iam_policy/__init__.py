"""Policy documents of IAM: those of identities, resources and organizations alike.

    document  the JSON text as statements (`parse`), and patterns over names
    callers   whether a statement is about a caller, by its principals and conditions
    plain     what is plain to see without asking AWS: denied, allowed, public

What KMS makes of such a document is `monitor.key_policy`. Pure. A document comes from an event: it
is untrusted text, and may be damaged.
"""
