"""Why an order has no price."""


class Refusal(Exception):
    """A rule of the business forbids it. A fault, such as a call that fails, is another exception."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
