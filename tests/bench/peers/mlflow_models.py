"""Save what `mlflow models serve` gets: scikit-learn's flavour, with a signature as its docs advise, and ONNX's."""

import sys
from pathlib import Path

import joblib
import mlflow
import onnx
import pandas as pd

folder = Path(sys.argv[1])
rows = pd.read_json(folder / "rows.json", orient="records")
pipeline = joblib.load(folder / "pipeline.joblib")
inputs = rows[list(pipeline[-1].feature_names_in_)]
signature = mlflow.models.infer_signature(inputs, pipeline.predict_proba(inputs))
mlflow.sklearn.save_model(
    pipeline,
    folder / "mlflow-sklearn",
    signature=signature,
    pyfunc_predict_fn="predict_proba",
    serialization_format="cloudpickle",
)
mlflow.onnx.save_model(onnx.load(folder / "matrices.onnx"), folder / "mlflow-onnx")
