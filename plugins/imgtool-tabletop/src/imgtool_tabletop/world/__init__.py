"""Scenes, cameras, the ray tracer and what can be measured in its pictures."""
