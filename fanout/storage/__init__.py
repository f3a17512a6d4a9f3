"""Where outputs live: stores and allowed roots, commits, publishing, reading; knows nothing of Temporal."""
