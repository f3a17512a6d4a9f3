"""What the workers of compose.yaml serve, to be replaced by modules of your own."""

import hashlib

import fanout


@fanout.processor
def digest(n: int, *, rounds: int = 2_000) -> str:
    """Return a key derived from a number, which takes about a millisecond."""
    return hashlib.pbkdf2_hmac("sha256", str(n).encode(), b"fanout", rounds).hex()
