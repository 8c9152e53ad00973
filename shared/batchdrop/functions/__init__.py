"""The entry points of the functions; `functions/NAME/main.py` imports one of them.

Importing one does no I/O: settings and clients are made when the first request comes. They are plain functions of a
request, the kind that the functions framework serves unless it is told otherwise (`--signature-type http`).
"""
