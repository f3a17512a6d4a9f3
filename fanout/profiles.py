"""Temporal's own profile files and `TEMPORAL_*` variables: how to connect, as the `temporal` command reads it."""

from __future__ import annotations

from typing import Any

from temporalio.envconfig import ClientConfig

from fanout.errors import UsageError


def load(profile: str | None = None) -> dict[str, Any]:
    """Return the arguments for `Client.connect` that are configured.

    Args:
        profile: Of the file; None for the one that `TEMPORAL_PROFILE` names, else `default`.

    Raises:
        UsageError: What is configured cannot be read, or contradicts itself.
    """
    try:
        return dict(ClientConfig.load_client_connect_config(profile=profile))
    except OSError as error:
        raise UsageError(
            f"cannot read {error.filename}, which Temporal's profile or variables name: {error.strerror}"
        ) from None
    except RuntimeError as error:
        raise UsageError(f"Temporal's profile cannot be used: {_without_excerpt(str(error))}") from None


def _without_excerpt(text: str) -> str:
    """Leave out the lines of the file that a parser quotes: an API key may be in them."""
    return "; ".join(line for line in text.splitlines() if "|" not in line)
