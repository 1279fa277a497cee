"""What the benches of all real boards have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from testbed.config.loader import Strict
from testbed.config.plugins import BoardSettings


class GpioLine(Strict):
    """A line of a GPIO chip, as `gpioinfo` on the board shows them."""

    chip: str = Field(pattern=r"^/dev/")
    line: int = Field(ge=0, le=1023)


class RealBoard(BoardSettings):
    """Inference on the CPU, on GPU and DLA with TensorRT; clocks, cores and telemetry through the kernel's files."""

    threads: int | None = Field(default=None, ge=1)
    """threads of CPU inference; absent: one a core"""
    cores: list[Annotated[int, Field(ge=0, le=1023)]] | None = Field(default=None, min_length=1)
    """cores that CPU inference is held on; absent: any"""
    cuda_graph: bool = False
    """launch each engine on a GPU as a CUDA graph, which takes work off the CPU"""
    marker: GpioLine | None = None
    """an output of the board that is wired to the meter's marker input"""
    cores_on: int | None = Field(default=None, ge=1, le=1024)
    """how many are on, the first ones; absent: as they are"""
    governor: str | None = Field(default=None, pattern=r"^[a-z0-9_-]+$")
    """of the CPU's clocks while no action holds them; absent: as it is"""
    wifi_interface: str | None = Field(default=None, pattern=r"^[^\s/]{1,15}$")
    """whose signal policies see, such as wlan0; absent: the first that is connected"""

    @property
    def packages(self) -> tuple[str, ...]:
        return ()

    @property
    def provenance(self) -> Literal["virtual", "measured"]:
        return "measured"

    @property
    def labels(self) -> tuple[str, ...]:
        return ()

    @property
    def marker_wired(self) -> bool:
        return self.marker is not None

    def agent_config(self, supply: Path | None, seed: int) -> dict[str, object]:
        return {
            "threads": self.threads,
            "marker": self.marker.model_dump() if self.marker else None,
            "cores": self.cores,
            "cuda_graph": self.cuda_graph,
            "cores_on": self.cores_on,
            "governor": self.governor,
            "wifi_interface": self.wifi_interface,
        }
