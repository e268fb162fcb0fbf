"""`kms-monitor demo`: the real daemon on the local AWS, and somebody who attacks its keys.

Everything that is shown was measured or received: times come from the simulated KMS itself
(`watch`), what the monitor did from its own notifications (`told`), how it ended from the keys.
"""
