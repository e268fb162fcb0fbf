"""What is right for a key, and the way back to it: pure functions."""
