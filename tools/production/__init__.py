"""A Temporal cluster for tests and benchmarks: what `tools/production.sh` has built."""
