"""What `fanout doctor` looks at, each thing by itself: the server, the store, workers with a processor."""
