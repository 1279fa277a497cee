"""What the arena leaves behind, what is computed from it, and the page that shows it."""

from results.arena.records import (
    ArenaHeader,
    ArenaRecords,
    CellRecord,
    Cells,
    read_header,
    read_records,
    write_course,
    write_header,
)

__all__ = [
    "ArenaHeader",
    "ArenaRecords",
    "CellRecord",
    "Cells",
    "read_header",
    "read_records",
    "write_course",
    "write_header",
]
