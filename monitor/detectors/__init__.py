"""The built-in detectors, one file each. They do not know one another."""
