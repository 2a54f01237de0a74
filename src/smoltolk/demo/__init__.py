"""A page to talk with models on: ``smoltolk demo``."""
