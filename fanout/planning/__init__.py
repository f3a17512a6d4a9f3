"""What a run will be, before it is one: its tree, what it costs, and what looks wrong. Starts nothing."""
