"""The built-in responders, one file each. They do not know one another."""
