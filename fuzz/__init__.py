"""Coverage-guided fuzzing of every parser of what comes over a wire: `make fuzz`."""
