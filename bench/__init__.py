"""Benchmarks: what fanout costs and how fast it is, measured side by side in one run. See docs/benchmarks.md."""
