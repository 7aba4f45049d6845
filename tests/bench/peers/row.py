"""The body of the FastAPI peers, in plain types."""

from pydantic import BaseModel


class Row(BaseModel):
    customer_id: str
    female: bool
    senior_citizen: bool
    partner: bool
    dependents: bool
    tenure: int
    phone_service: bool
    multiple_lines: str
    internet_service: str
    online_security: str
    online_backup: str
    device_protection: str
    tech_support: str
    streaming_tv: str
    streaming_movies: str
    contract: str
    paperless_billing: bool
    payment_method: str
    monthly_charges: float
    total_charges: float | None = None


class Body(BaseModel):
    records: list[Row]


class Scores(BaseModel):
    scores: list[float]
