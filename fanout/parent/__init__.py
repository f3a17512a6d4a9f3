"""What runs above the partitions: planning, the tree, totals, the manifest. Nothing here knows of items."""
