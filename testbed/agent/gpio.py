"""A marker on a GPIO line, through libgpiod (its Python package gpiod, version 2, must be on the board)."""

from __future__ import annotations

from types import TracebackType


class MarkerRefused(Exception):
    """The line cannot be driven; says what to mend."""


class GpioMarker:
    """Holds the line, low at first, until it is left."""

    def __init__(self, chip: str, line: int) -> None:
        """`chip` is the path of the GPIO chip, `line` the offset of the line there. Raises `MarkerRefused`."""
        try:
            import gpiod
            from gpiod.line import Direction, Value
        except ImportError:
            raise MarkerRefused(
                "board.marker: the board's Python has no gpiod 2; install it there (`pip install 'gpiod>=2'`), "
                "or leave 'marker' out"
            ) from None
        self._line, self._high, self._low = line, Value.ACTIVE, Value.INACTIVE
        settings = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.INACTIVE)
        try:
            self._request = gpiod.request_lines(chip, consumer="testbed", config={line: settings})
        except (OSError, ValueError) as error:
            raise MarkerRefused(
                f"board.marker: line {line} of {chip} cannot be driven: {error}; look at `gpioinfo`, at the rights of "
                f"{chip}, and whether something else holds the line"
            ) from None

    def set(self, *, high: bool) -> None:
        """Drive the line."""
        self._request.set_value(self._line, self._high if high else self._low)

    def close(self) -> None:
        """Give the line back."""
        self._request.release()

    def __enter__(self) -> GpioMarker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
