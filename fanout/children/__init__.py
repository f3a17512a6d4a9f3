"""What runs below a partition: its window of batches, and the items of a batch. Nothing here knows the tree above."""
