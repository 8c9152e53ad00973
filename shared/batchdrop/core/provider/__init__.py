"""Values that pass between the steps and whichever provider is configured; the calls themselves are a port."""
