"""Behind `label_studio_ml.managers`: instances and training jobs of API v1 without the Rust server."""
