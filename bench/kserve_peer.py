"""The least that makes KServe's Python server serve an ONNX file: HTTP_PORT GRPC_PORT NAME PATH.

Run by a Python that has KServe.
"""

import sys

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class OnnxModel(Model):
    """One input, one output."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.ready = True

    def predict(self, request: InferRequest, headers: object = None, response_headers: object = None) -> InferResponse:
        """One inference."""
        inputs = {each.name: each.as_numpy() for each in request.inputs}
        (values,) = self._session.run(None, inputs)
        output = InferOutput(self._session.get_outputs()[0].name, list(values.shape), "FP32")
        output.set_data_from_numpy(values, binary_data=True)
        return InferResponse(response_id=request.id, model_name=self.name, infer_outputs=[output])


if __name__ == "__main__":
    http, grpc, name, path = sys.argv[1:]
    ModelServer(http_port=int(http), grpc_port=int(grpc), workers=1).start([OnnxModel(name, path)])
