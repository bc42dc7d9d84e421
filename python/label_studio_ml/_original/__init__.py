"""What modules of the original had besides the names that they are for.

Scripts of all its releases import from those modules: packages that they imported themselves, helpers
that later releases dropped, functions of the command line.
"""
