"""FastAPI with the project's own ONNX file and no pandas. No keys, no metrics, no log."""

import numpy as np
import onnxruntime
from fastapi import FastAPI
from row import Body, Row, Scores

NUMBERS = [name for name, field in Row.model_fields.items() if field.annotation is not str]
CATEGORIES = [name for name, field in Row.model_fields.items() if field.annotation is str and name != "customer_id"]

app = FastAPI()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession("matrices.onnx", options)


@app.post("/predict")
async def predict(body: Body) -> Scores:
    rows = [row.__dict__ for row in body.records]
    numbers = np.array([[row[name] for name in NUMBERS] for row in rows], np.float32)  # None becomes NaN
    categories = np.array([[row[name] for name in CATEGORIES] for row in rows], object)
    scores = session.run(["probabilities"], {"numbers": numbers, "categories": categories})[0][:, 1]
    return Scores(scores=scores.tolist())
