"""Records of runs: the store that writes them, what is computed from them, and the report that shows it."""
