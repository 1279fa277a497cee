"""A virtual board's files: the tree that its kernel would show, served through FUSE; writes move its processors."""
