"""Benchmarks: `python -m tests.bench`; every figure against a floor or a rival measured in the same run.

    figures    what a figure is, the table, the JSON
    data       request lines of a chosen length, made faster than they are read; `kinds`: uploads of other forms
    counting   ports that count their calls, bytes and seconds; `counted`: whole stacks on such ports
    stands     a stack on a temporary folder, the Gemini emulator in a process of its own
    beside     ours and its rivals (`rivals/`) as commands on one file and one provider
    virtual    threads on a clock that jumps; `far`: the cloud's ports on it, `fleet`: the cloud's functions on it
    the rest   one module a subject, each with `run(size)`

All is measured on loopback: a floor here is much lower than a network's, so the ratios are upper bounds.
"""
