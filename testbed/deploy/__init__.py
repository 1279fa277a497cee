"""The agent's place on a board: its Python, what that needs, and what puts things back there unattended."""
