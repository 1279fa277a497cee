"""A board's power model: a designed experiment, its measurements on disk, the fit, its validation, the file.

Not to be taken for `testbed.calibration`, which keeps what checks found out about meters.
"""
