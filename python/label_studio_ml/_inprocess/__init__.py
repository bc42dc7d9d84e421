"""Serves a model in the calling process, without the Rust server: the Flask app for gunicorn, uWSGI
and people's tests, and the program of `label-studio-ml start --debug`.
"""
