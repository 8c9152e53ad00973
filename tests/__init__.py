"""Tests, by kind.

unit       no network, no files but temporary ones, milliseconds
property   Hypothesis: rules that hold for every input
contract   one suite for each port, run against every adapter of it
flow       whole stacks, from an upload to its rows: embedded, on Google's emulators, and as a user starts them
emulators  what our emulators answer to unmodified clients
fault      crashes, lost replies, duplicates, two workers at once
infra      the Pulumi program on an engine of ours; installation and the wheel
e2e        a real browser; opt-in: a real project
bench      ratios against a floor in the same run
"""
