"""A run as one HTML page: what is known of it, binned by time, drawn, and put into words and tables."""
