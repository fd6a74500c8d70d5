"""The seam for what somebody has to see to: it begins, and it is over."""

from __future__ import annotations

from zope.interface import Interface, implementer


class IAlarms(Interface):
    """Tells in the log when a condition begins and when it is over, however often it is seen in between. Called in the
    reactor's thread."""

    def seen(condition: str, detail: str) -> None:
        """It is there, now. ``condition`` is one of :mod:`mailstack.model.condition`, ``detail`` the system's words."""

    def over(condition: str) -> None:
        """It is not there any more, as far as can be seen. It may come back."""


@implementer(IAlarms)
class Silent:
    """Where nobody has to see to anything."""

    def seen(self, condition: str, detail: str) -> None:
        pass

    def over(self, condition: str) -> None:
        pass


SILENT = Silent()
