"""The networks, one a module: each has `build() -> onnx.ModelProto`, FP32, opset 17."""
