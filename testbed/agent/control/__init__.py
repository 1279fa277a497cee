"""A board's knobs: clocks, caps, cores, power modes; set through the kernel's files, read back, and given back."""
