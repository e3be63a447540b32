"""Prompt embedding optimisation: the stage, its objective, and the climbs that maximise it."""
