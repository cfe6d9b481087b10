"""The one shape of an error that a person reads: what happened to what, then what to try."""


class AdapterdError(Exception):
    """An error with a hint.

    Attributes:
        message: what happened to what, with the numbers; no token, no query string.
        hint: what to do about it, without the leading ``Try:``.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the two lines apart; ``str()`` joins them."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Give the message, and the hint on a line of its own."""
        return f"{self.message}\nTry: {self.hint}" if self.hint else self.message
