"""Providers: the services that run batches, one folder each. They do not know each other."""
