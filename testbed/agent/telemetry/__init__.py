"""What a board sees of itself: load, temperatures, clocks, what throttles it."""
