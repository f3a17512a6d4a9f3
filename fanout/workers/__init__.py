"""A worker process: what it holds for its batches, and what becomes of it. Nothing here knows what an item is."""
