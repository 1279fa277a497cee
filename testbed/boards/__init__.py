"""Kinds of board, as the controller sees them: one file a kind, found by entry point `testbed.boards`."""
