"""The languages that are known: one found by its name or by a line's form, and what goes from one to another.

lines  --detect--> LineForm       a file --convert--> lines of the job's language, each translated or rendered
a line --translate--> Translated (request, warnings) | Problem
a row  --reply--> the line that the API of the upload's form would have written
"""
