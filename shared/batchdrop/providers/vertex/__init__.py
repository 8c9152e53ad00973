"""Gemini on Vertex AI (Gemini Enterprise Agent Platform): batch prediction jobs on Cloud Storage."""
