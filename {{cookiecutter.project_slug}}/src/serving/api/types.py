"""What callers send and get: types made from schema.yaml, where no type checker can look."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator

from serving.rows.errors import ModelError
from serving.rows.parameters import PARAMS, param
from serving.rows.schema import WHOLE, load_schema

SCHEMA = load_schema()
BINARY = SCHEMA.target.task == "binary"
LABELS = (SCHEMA.target.negative, SCHEMA.target.positive)
POLICY = param("service.unknown_category")
if POLICY not in ("reject", "missing"):
    raise ModelError(f"{PARAMS}: service.unknown_category is 'reject' or 'missing', not {POLICY!r}")

Row: Any = SCHEMA.row_model(unknown_is_missing=POLICY == "missing")
ROW_FIELDS = frozenset({*SCHEMA.columns, *filter(None, [SCHEMA.id])})


class Query(BaseModel):
    """The rows to score, and how many reasons each prediction shall give."""

    model_config = ConfigDict(extra="forbid", strict=True)

    records: Annotated[list[Row], Field(min_length=1, max_length=param("service.max_rows"))]
    reasons: Annotated[int, Field(ge=0, le=len(SCHEMA.columns)), WHOLE] = 0

    @field_validator("records")
    @classmethod
    def _distinct(cls, records: list[Any]) -> list[Any]:
        if SCHEMA.id and len({record.id for record in records}) < len(records):
            raise ValueError(f"{SCHEMA.id} is used more than once: send each record once")
        return records


class Reason(BaseModel):
    """How far a column's value moves the score from where its typical value has it: log-odds, or the number's unit."""

    column: str
    effect: float
    text: str


_label: Any = {"label": (Literal.__getitem__(LABELS), ...)} if BINARY else {}
_reasons: Any = {"reasons": (list[Reason], Field(default=[], description="The strongest first, if asked for"))}
Prediction: Any = create_model("Prediction", id=(str, ...), score=(float, ...), **_label, **_reasons)


class Predictions(BaseModel):
    """A prediction for each record, in their order, and the release that made them."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str
    model_md5: str = Field(description="MD5 of the model file, as dvc.lock names it")
    predictions: list[Prediction]


class Problem(BaseModel):
    """A field at fault: the way to it (`["records", 0, "age"]`), and what is wrong."""

    loc: list[str | int]
    msg: str
    type: str


class Error(BaseModel):
    """A refused request: one sentence, and the fields at fault if there are any."""

    error: str
    detail: list[Problem]
