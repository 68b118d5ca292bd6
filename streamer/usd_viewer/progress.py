"""Tells viewers how the opening of a stage goes, as Kit's status bar does; often enough, not more."""

from streamer.source import Outbox

LEAST_CHANGE = 0.01


class Progress:
    """`updateProgressAmount` and `updateProgressActivity`."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._activity = ""
        self._amount = -1.0

    def tell(self, activity: str, amount: float) -> None:
        """Tell what has changed: what is being done, and how far it is, 0 to 1."""
        if activity != self._activity:
            self._activity = activity
            self._outbox.send("updateProgressActivity", {"text": activity})
        if abs(amount - self._amount) >= LEAST_CHANGE:
            self._amount = amount
            self._outbox.send("updateProgressAmount", {"progress": round(amount, 3)})

    def end(self) -> None:
        """The opening has come to its end; the next begins anew."""
        if self._amount >= 0.0:
            self._outbox.send("updateProgressAmount", {"progress": 1.0})
        self._activity, self._amount = "", -1.0
