"""Which items of a run a rerun takes up again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Selection:
    """Which items of a run are taken up again.

    Attributes:
        failed: Those that failed, or of them those that all of the following fit.
        not_run: Those that have no outcome.
        error_type: Of this error type.
        group: Of the kind of failures with this short name.
        keys: With one of the keys in this object of the store: a JSON array.
    """

    failed: bool = True
    not_run: bool = True
    error_type: str | None = None
    group: str | None = None
    keys: str | None = None

    @property
    def words(self) -> str:
        """The selection in words."""
        parts = []
        if self.failed:
            fits = [
                f"with {self.error_type}" if self.error_type is not None else "",
                f"of group {self.group}" if self.group is not None else "",
                "with given keys" if self.keys is not None else "",
            ]
            parts.append(" ".join(["what failed", *filter(None, fits)]))
        if self.not_run:
            parts.append("what was not run")
        return " and ".join(parts)
