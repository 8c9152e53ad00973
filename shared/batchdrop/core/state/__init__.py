"""The stored documents, the rules of their changes, their names and the messages about them."""
