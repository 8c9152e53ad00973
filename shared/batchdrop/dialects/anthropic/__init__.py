"""The language of Anthropic: messages in, results of a message batch out."""
