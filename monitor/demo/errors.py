"""What can end the demo before its story is over."""


class DemoError(Exception):
    """One sentence for the user."""
