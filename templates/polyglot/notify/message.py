"""What a customer is told about an order."""

from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

SENDER = "The Web Shop <orders@shop.example>"


def confirmation(order: dict[str, Any], now: datetime) -> EmailMessage:
    """The confirmation of an order, as `checkout` sends it."""
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = f'{_quoted(order["customer"]["name"])} <{order["customer"]["email"]}>'
    message["Subject"] = f"Your order {order['orderId']}"
    message["Date"] = format_datetime(now)
    # The same for every attempt, so that a mail server recognises a second one.
    message["Message-ID"] = f"<{order['orderId']}@shop.example>"
    message.set_content(_text(order), cte="8bit")
    return message


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(order: dict[str, Any]) -> str:
    priced = order["price"]
    rows = [(f"{line['quantity']} x {line['name']}", line["net"]) for line in priced["lines"]]
    rows += [(f"less {off['reason']}", f"-{off['amount']}") for off in priced["discounts"]]
    rows.append(("shipping", priced["shipping"]))
    rows += [(f"{tax['percent']} % tax", tax["amount"]) for tax in priced["taxes"]]
    rows.append((f"total {priced['currency']}", priced["total"]))
    width = max(len(label) for label, _ in rows)
    table = "\n".join(f"  {label:<{width}}  {amount:>10}" for label, amount in rows)
    minutes = order["holdSeconds"] // 60
    return (
        f"Hello {order['customer']['name']},\n\n"
        f"thank you for your order {order['orderId']}:\n\n{table}\n\n"
        f"We keep everything for you for {minutes} minutes. It is on its way once you have paid.\n"
    )
