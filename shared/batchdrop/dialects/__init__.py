"""Dialects: what users' lines look like, each translated to Gemini's requests, and answers written in the same words.

    lines ──detect──► Dialect        line ──translate──► Translated (request, warnings) | Problem
    row, dialect ──answer──► the line the other API would have written

Pure functions; nothing here raises for anything a line may hold.
"""
