"""How results and failures are written."""
