"""The Lambda function `notify`: writes the confirmation of an order to the outbox."""

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import message
import outbox


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Confirms `{"orderId", "customer": {"name", "email"}, "price", "holdSeconds"}`."""
    folder = Path(os.environ["OUTBOX"])
    confirmation = message.confirmation(event, datetime.now(timezone.utc))
    new = outbox.put(folder, event["orderId"], confirmation)
    return {"outcome": "queued" if new else "queued-before", "orderId": event["orderId"]}
