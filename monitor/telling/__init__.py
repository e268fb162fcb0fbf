"""What people are told: a headline, the whole of it, and what to do now. Pure."""
