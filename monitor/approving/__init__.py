"""The commands that give approvals, list them and take them back."""
