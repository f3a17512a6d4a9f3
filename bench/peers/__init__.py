"""What people would use instead, at the same job. See docs/benchmarks.md.

All but `comparison` and `contenders` runs in `.venv-peers`, where neither fanout nor its dependencies are.
"""
