"""Programs that measure the testbed itself."""
