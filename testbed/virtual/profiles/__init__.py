"""The boards there are, one a module, each with `PROFILE`."""
