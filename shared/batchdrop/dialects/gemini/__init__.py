"""The language of Gemini: checking a request, one view of it, rendering one from a record.

    fast     one typed decode; whatever it accepts, `fields` accepts
    fields   every other request: each problem with code, JSON pointer, sentence and fix

No message quotes a value: a rejection names fields and positions only.
"""
