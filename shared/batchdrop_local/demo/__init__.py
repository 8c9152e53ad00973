"""`batchdrop demo`: one file in, its rows and a summary out."""
