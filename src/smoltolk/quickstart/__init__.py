"""The main job on the embedded default: from nothing to a model that hears, reads and speaks, and to a report on it."""
