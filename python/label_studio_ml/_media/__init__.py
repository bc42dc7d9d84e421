"""Files that the data of tasks names: finding them, fetching them from Label Studio, keeping copies.

`base` is the part of the base class of models, `resolver` the function behind it. `routes` tells what
a value names, `connection` which Label Studio is meant, `tokens` how it is asked, `download` asks, and
`cache` keeps what came.
"""
