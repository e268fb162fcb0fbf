"""`kms-monitor check`: are the settings good, and does AWS let the daemon do what they need?

rows      what is found out about one call, and how several answers become one; pure
probes    harmless calls that show a right where IAM's simulator may not be asked
proof     asks AWS, account by account and Region by Region
command   the command and its table
"""
