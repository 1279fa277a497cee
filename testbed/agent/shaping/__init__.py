"""Shapes the traffic of an interface by the kernel's own queues, over netlink, with the standard library only."""
