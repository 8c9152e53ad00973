"""Hostile uploads: small inputs that ask for a large share of time or memory. Families of them, as functions.

cases.py     what a case is
recipes.py   YAML and templates        lines.py    JSON lines of all forms
schemas.py   schemas and answers       tables.py   CSV, Parquet, gzip
run.py       runs each in a process of its own and measures it: `python -m tests.samples.hostile.run [WORD]`
"""
