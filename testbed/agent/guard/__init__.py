"""Sees to it that what was altered on a machine is put back, whatever becomes of the process that altered it.

What to put back is data: a lease file holds it from before the first change until all is as it was. Standard library
only: it runs on boards.
"""
