"""Benchmarks: `python -m tests.bench`; every figure against a floor measured in the same run.

    figures    what a figure is, the table, the JSON
    data       request lines of a chosen length, made faster than they are read
    counting   ports that count their calls, bytes and seconds
    stands     a stack on a temporary folder, the Gemini emulator in a process of its own
    the rest   one module a subject, each with `run(size)`

All is measured on loopback: a floor here is much lower than a network's, so the ratios are upper bounds.
"""
