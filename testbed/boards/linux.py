"""A real board that runs Linux, or the controller's own host."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from testbed.boards.draw import KNOWN_DRAW, BoardModel
from testbed.config.loader import Strict
from testbed.config.plugins import BoardSettings, Draw


class GpioLine(Strict):
    """A line of a GPIO chip, as `gpioinfo` on the board shows them."""

    chip: str = Field(pattern=r"^/dev/")
    line: int = Field(ge=0, le=1023)


class LinuxBoard(BoardSettings):
    """CPU inference through ONNX Runtime, GPU and DLA through TensorRT; frequencies through cpufreq."""

    kind: Literal["linux"]
    model: BoardModel | None = None
    """which board it is; `doctor` then knows what a meter must bear"""
    threads: int | None = Field(default=None, ge=1)
    """threads of the CPU backend; absent: one a core"""
    cuda_graph: bool = False
    """launch each engine on the GPU as a CUDA graph, which takes work off the CPU"""
    marker: GpioLine | None = None
    """an output of the board that is wired to the meter's marker input"""

    @property
    def opener(self) -> str:
        return "testbed.agent.boards.linux:open_board"

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
    def draw(self) -> Draw | None:
        return KNOWN_DRAW[self.model] if self.model else None

    @property
    def marker_wired(self) -> bool:
        return self.marker is not None

    def agent_config(self, supply: Path | None, seed: int) -> dict[str, object]:
        return {
            "threads": self.threads,
            "cuda_graph": self.cuda_graph,
            "marker": self.marker.model_dump() if self.marker else None,
        }
