"""Serving a model in the calling process, without the Rust server: the Flask app that gunicorn, uWSGI and
people's tests use, and the program of `label-studio-ml start --debug`.
"""
