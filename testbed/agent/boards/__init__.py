"""Real boards, from the inside."""
