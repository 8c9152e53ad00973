"""Tests, by kind.

unit      no network, no files but temporary ones, milliseconds
property  Hypothesis: rules that hold for every input
fault     crashes, lost replies, duplicates, two workers at once
emulator  real SDKs over HTTP: the Gemini emulator, Google's Pub/Sub and Firestore emulators
infra     the Pulumi program under mocks; the local stack as a user runs it
e2e       opt-in: a real project
bench     ratios against a floor in the same run
"""
