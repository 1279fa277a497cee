"""NVIDIA's GPU and DLA through TensorRT 8.6 to 11. `targets` is the way in."""
