"""The deployment: a Pulumi program (`__main__.py`) and, in `local/`, the same topology on one machine."""
