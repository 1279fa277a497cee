"""`bindings_child.py SITE`: import real bindings over dummy libraries; print what they have, as JSON."""

from __future__ import annotations

import json
import sys

import numpy as np

from testbed.agent.targets.tensorrt import reporting
from testbed.agent.targets.tensorrt.calibration import entropy_calibrator
from testbed.agent.targets.tensorrt.library import of_module
from testbed.agent.targets.tensorrt.order import Device, int8_form


class Nothing:
    """CUDA, as far as a calibrator that is not asked for a batch goes."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: (0, lambda: None)


def main(site: str) -> None:
    sys.path.insert(0, site)
    import tensorrt as trt

    found = of_module(trt)
    made = [type(reporting.logger(found, reporting.Complaints())).__mro__[1].__name__]
    if (monitor := reporting.progress(found, "a model")) is not None:
        monitor.phase_start("timing", None, 3)
        assert monitor.step_complete("timing", 0)
        monitor.phase_finish("timing")
        made.append(type(monitor).__mro__[1].__name__)
    if found.calibrates:
        with entropy_calibrator(found, [{"x": np.zeros(1)}], Nothing()) as calibrator:
            assert calibrator.get_batch_size() == 1
            made.append(type(calibrator).__mro__[1].__name__)
    members = {name: getattr(trt, name) for name in dir(trt)}
    members["Severity"] = trt.ILogger.Severity
    json.dump(
        {
            "version": found.version,
            "release": found.release,
            "typed": found.typed,
            "network_flags": found.network_flags(),
            "int8_of_dla": int8_form(found, Device(0)),
            "made": made,
            "classes": {
                name: {attribute: str(getattr(member, attribute).__doc__) for attribute in dir(member)}
                for name, member in members.items()
                if isinstance(member, type)
            },
            "members": sorted(members),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(sys.argv[1])
