"""The language of OpenAI: chat completions, responses and embeddings in, lines of an output or error file out."""
