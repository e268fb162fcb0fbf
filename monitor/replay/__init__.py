"""`kms-monitor replay`: the same detection and policy over history; see docs/replay.md.

    sources, journal, aws_sources -> reading -> gathering -> judging ( model ) -> table, html

Only `gathering`, `aws_sources` and `journal` do I/O while it runs; `judging` and `model` are pure.
"""
