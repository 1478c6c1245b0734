"""Confirmations, and the outbox they are put into."""

import email
import email.policy
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

import app
import outbox
from message import confirmation

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=timezone.utc)


def order(name: str = "Ada Lovelace") -> dict[str, Any]:
    return {
        "orderId": "W-0123456789AB",
        "customer": {"name": name, "email": "ada@example.org"},
        "price": {
            "currency": "EUR",
            "lines": [
                {"sku": "MUG-01", "name": "Enamel mug", "quantity": 2, "net": "25.80"},
                {"sku": "TEA-07", "name": "Darjeeling, 100 g", "quantity": 1, "net": "9.45"},
            ],
            "goods": "35.25",
            "discounts": [{"reason": "coupon WELCOME10", "amount": "3.52"}],
            "shipping": "4.90",
            "taxes": [{"percent": "19", "amount": "5.34"}, {"percent": "7", "amount": "0.60"}],
            "total": "42.57",
            "weightGrams": 890,
        },
        "holdSeconds": 900,
    }


def read(message: EmailMessage | bytes) -> EmailMessage:
    """The message as a mail program reads it."""
    data = message if isinstance(message, bytes) else message.as_bytes()
    parsed = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_a_confirmation() -> None:
    message = read(confirmation(order(), NOW))
    assert message["To"].addresses[0].addr_spec == "ada@example.org"
    assert message["Subject"] == "Your order W-0123456789AB"
    assert message["Message-ID"] == "<W-0123456789AB@shop.example>"
    assert message["Date"].datetime == NOW
    assert message.get_content() == (
        "Hello Ada Lovelace,\n"
        "\n"
        "thank you for your order W-0123456789AB:\n"
        "\n"
        "  2 x Enamel mug              25.80\n"
        "  1 x Darjeeling, 100 g        9.45\n"
        "  less coupon WELCOME10       -3.52\n"
        "  shipping                     4.90\n"
        "  19 % tax                     5.34\n"
        "  7 % tax                      0.60\n"
        "  total EUR                   42.57\n"
        "\n"
        "We keep everything for you for 15 minutes. It is on its way once you have paid.\n"
    )


@pytest.mark.parametrize("name", ['Grace "Amazing" Hopper', "Łukasiewicz, Jan", "back\\slash", "李 明"])
def test_any_name_can_be_written_to(name: str) -> None:
    message = read(confirmation(order(name), NOW))
    address = message["To"].addresses[0]
    assert (address.display_name, address.addr_spec) == (name, "ada@example.org")
    assert message.get_content().startswith(f"Hello {name},\n")


def test_a_name_cannot_add_a_header() -> None:
    with pytest.raises(ValueError, match="linefeed"):
        confirmation(order("Ada\nBcc: everybody@example.org"), NOW)


def test_an_order_is_confirmed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOX", str(tmp_path))
    queued = {"outcome": "queued", "orderId": "W-0123456789AB"}
    assert app.handler(order(), None) == queued
    assert app.handler(order(), None) == {**queued, "outcome": "queued-before"}
    assert [path.name for path in tmp_path.iterdir()] == ["W-0123456789AB.eml"]
    assert "Enamel mug" in read((tmp_path / "W-0123456789AB.eml").read_bytes()).get_content()


def test_of_many_deliveries_at_once_one_counts(tmp_path: Path) -> None:
    message = confirmation(order(), NOW)
    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(lambda _: outbox.put(tmp_path, "W-1", message), range(64)))
    assert new.count(True) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["W-1.eml"]


def test_without_an_outbox_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOX", str(tmp_path / "missing"))
    with pytest.raises(FileNotFoundError, match="missing"):
        app.handler(order(), None)


def test_it_needs_nothing_but_python(tmp_path: Path) -> None:
    """`-I` and `-S` leave out everything that is installed."""
    code = "import sys; sys.path.insert(0, '.'); import app; print(app.handler.__name__)"
    root = Path(app.__file__).parent
    command = [sys.executable, "-I", "-S", "-c", code]
    ran = subprocess.run(command, cwd=root, env=dict(os.environ), capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "handler\n"), ran.stderr
