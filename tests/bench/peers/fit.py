"""Write what the peers serve, in the trained project.

`python fit.py FOLDER` leaves in FOLDER `pipeline.joblib`, the project's pipeline, fitted again for frames with its
columns' names; `matrices.onnx`, the project's own file; and `rows.json`, held-out rows as callers send them.
"""

import json
import shutil
import sys
from pathlib import Path

import joblib
import pandas as pd
from model import data
from model.pipeline import build, fit
from serving.model_file.export import floor_thresholds
from serving.model_file.opening import MODEL
from serving.rows.matrices import from_frame, named
from serving.rows.parameters import params
from serving.rows.schema import load_schema
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

folder = Path(sys.argv[1])
schema, rows = load_schema(), data.read_rows(data.TRAIN)
pipeline = build(schema, params())
fit(pipeline, named(schema, from_frame(schema, rows)), data.truth(schema, rows), params())
floor_thresholds(pipeline)  # as the export does
# callers' numbers are float64, and the thresholds are now between float32 numbers
cast = FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": dict.fromkeys(schema.numbers, "float32")})
joblib.dump(make_pipeline(cast, pipeline), folder / "pipeline.joblib")
shutil.copyfile(MODEL, folder / "matrices.onnx")
holdout = data.read_rows(data.HOLDOUT)[[schema.id, *schema.columns]]
(folder / "rows.json").write_text(json.dumps(json.loads(holdout[:200].to_json(orient="records"))))
