"""The built-in escrows. Each is a plugin of the kind `escrows`: see `monitor.escrow`."""
