"""The pacer: when to collect, when to give memory back, how much is allowed."""
