"""A server of ONNX models that speaks the Open Inference Protocol (KServe v2) over HTTP, binary tensors included."""

from testbed.serve.engine import Engine, OnnxEngine, TensorSpec
from testbed.serve.server import InferenceServer, Limits

__all__ = ["Engine", "InferenceServer", "Limits", "OnnxEngine", "TensorSpec"]
