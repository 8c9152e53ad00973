"""The Gemini Developer API."""
