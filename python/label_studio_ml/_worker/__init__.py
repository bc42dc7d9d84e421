"""What runs in a worker process: its program, `python -m label_studio_ml._worker --channel FD`, and what
the Rust part calls there. It imports nothing of `_inprocess`.
"""
