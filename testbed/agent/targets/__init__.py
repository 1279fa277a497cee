"""Places an inference can run, from the board's side: one file a backend."""
