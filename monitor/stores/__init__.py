"""Implementations of `monitor.ledger.Store`."""
