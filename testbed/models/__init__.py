"""Neural networks to run: drawn, quantised, counted and measured on the controller. `zoo` is the way in."""
