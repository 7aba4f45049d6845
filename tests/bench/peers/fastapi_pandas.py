"""FastAPI as its tutorials serve a model: pydantic, a frame, scikit-learn. No keys, no metrics, no log."""

import joblib
import pandas as pd
from fastapi import FastAPI
from row import Body, Scores

app = FastAPI()
pipeline = joblib.load("pipeline.joblib")


@app.post("/predict")
def predict(body: Body) -> Scores:
    frame = pd.DataFrame([row.model_dump() for row in body.records])
    return Scores(scores=pipeline.predict_proba(frame)[:, 1].tolist())
