"""Serve an ONNX file by KServe's own server, as its runtimes do: `python onnx_server.py FILE --model_name NAME ...`.

It runs in an environment of its own, with `kserve` and ONNX Runtime; KServe has the protocol, ONNX Runtime the model.
"""

import argparse
from pathlib import Path
from uuid import uuid4

import numpy as np
import onnxruntime as ort
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer, model_server

TYPES = {"float32": "FP32", "int64": "INT64", "object": "BYTES"}


class OnnxModel(Model):
    """The file, whose inputs and outputs are the request's and the answer's tensors."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name)
        self.session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
        self.ready = True

    def predict(self, payload: InferRequest, *args: object, **options: object) -> InferResponse:
        fed = {tensor.name: texts(tensor.as_numpy()) for tensor in payload.inputs}
        outputs = []
        for told, value in zip(self.session.get_outputs(), self.session.run(None, fed), strict=True):
            output = InferOutput(told.name, list(value.shape), TYPES[value.dtype.name])
            output.set_data_from_numpy(value, binary_data=False)
            outputs.append(output)
        return InferResponse(payload.id or uuid4().hex, self.name, outputs)


def texts(values: np.ndarray) -> np.ndarray:
    """Return a tensor of bytes as one of texts, and another as it is; of any shape."""
    if values.dtype != object:
        return values
    return np.vectorize(lambda one: one.decode() if isinstance(one, bytes) else one, otypes=[object])(values)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("file", type=Path)
    args = parser.parse_args()
    ModelServer().start([OnnxModel(args.model_name, args.file)])
