"""Power meters as programs: each speaks its monitor's serial protocol at the far end of a PTY."""
