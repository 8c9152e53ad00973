"""The entry points of the functions; `functions/NAME/main.py` imports one of them.

Importing one does no I/O: settings and clients are made when the first request comes.
"""
