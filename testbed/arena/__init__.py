"""The arena: policies against each other on one decision problem, under the same noise, without a bench."""
