"""Label Studio ML backend: wrap a model in a class, and serve it to Label Studio.

Importing this package imports nothing else: what a model does not use costs it nothing.
"""

package_name = "label-studio-ml"
__version__ = "3.0.0"
