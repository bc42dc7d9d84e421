"""What only models of API v2 need, in a worker process and without the Rust server."""
