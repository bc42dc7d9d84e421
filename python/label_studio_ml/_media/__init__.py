"""Files that the data of tasks names: finding them, fetching them from Label Studio, keeping copies.

`base` is the part of the base class of models, `resolver` the function behind it. `routes` tells what
a value names, `files` which of this machine may be opened, `hosts` which addresses may be asked.
`connection` tells which Label Studio is meant, `tokens` how it is asked, `download` asks, over the
connections of `transport`, and `body` unpacks. `cache` keeps what came, `room` makes room for it.
"""
