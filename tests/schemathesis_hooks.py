"""What Schemathesis must know of the service beside its contract: JSON Schema can't say that an id is sent once."""

from typing import Any

import schemathesis


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, object]) -> None:
    """Make the texts of repeated ids different."""
    records = case.body.get("records") if isinstance(case.body, dict) else None
    seen = set[str]()
    if not isinstance(records, list):
        return
    for i, record in enumerate(records):
        name = record.get("customer_id") if isinstance(record, dict) else None
        if isinstance(record, dict) and isinstance(name, str):
            if name in seen:
                records[i] = record | {"customer_id": f"{name}#{i}"}
            seen.add(name)
