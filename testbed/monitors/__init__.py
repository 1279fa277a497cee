"""Kinds of power monitor, as a bench file names them: one file a kind, found by entry point `testbed.monitors`."""
