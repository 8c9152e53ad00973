"""What the readers of other languages share: settings, functions and media in the hub's words, valid ones."""
