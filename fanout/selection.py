"""Which items of a run a rerun takes up again, or a compensation undoes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Selection:
    """Which items of a run are taken up again, or undone.

    Attributes:
        failed: Those that failed, or of them those that all of the following fit.
        not_run: Those that have no outcome.
        error_type: Of this error type.
        group: Of the kind of failures with this short name.
        keys: With one of the keys in this object of the store: a JSON array.
        undone: Of a compensation: what succeeded in the run with this id. Empty for a rerun, also for that of one.
    """

    failed: bool = True
    not_run: bool = True
    error_type: str | None = None
    group: str | None = None
    keys: str | None = None
    undone: str = ""

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
        if self.undone:
            parts.append(f"what succeeded in run {self.undone}")
        return " and ".join(parts)
