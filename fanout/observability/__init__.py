"""What fanout tells about itself: logs, metrics, and details in Temporal Web."""
