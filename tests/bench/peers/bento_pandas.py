"""BentoML as its tutorials write it: a frame in, scikit-learn, an array out."""

import bentoml
import joblib
import numpy as np
import pandas as pd


@bentoml.service
class Churn:
    def __init__(self) -> None:
        self.pipeline = joblib.load("pipeline.joblib")

    @bentoml.api
    def predict(self, records: pd.DataFrame) -> np.ndarray:
        return self.pipeline.predict_proba(records)[:, 1]
