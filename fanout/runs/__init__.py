"""A run seen from outside: how it is started, followed, ordered about, read, taken up again and removed."""
