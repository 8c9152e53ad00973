"""Dialects: the languages of requests and answers. Pure; nothing here raises for anything a line may hold.

dialect  hub  reply  forms  converted     what the languages share, below them: no language is named by an import
gemini                                    the language of Gemini
foreign  openai  anthropic                lines of others, read into the hub's words, and rows answered in theirs
known                                     above them: which language it is, and what goes from one to another
"""
