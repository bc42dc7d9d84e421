"""Finds files that the data of tasks names, fetches them from Label Studio, and keeps copies.

`base` is the part of the base class of models, `resolver` the function behind it. `references` parses
what a value refers to, `files` opens files of this machine, `host_policy` decides which addresses may
be asked. `label_studio_address` tells which Label Studio is meant, `tokens` how to authenticate.
`download` asks over the connections of `transport`, `body` decompresses, `log_redaction` keeps secrets
out of logs. `cache` keeps copies, `cache_eviction` removes old ones, `limits` has the limits.
"""
