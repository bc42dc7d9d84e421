"""What runs in a worker process: its program, and what the Rust part calls there."""
