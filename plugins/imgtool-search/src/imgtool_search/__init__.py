"""Searches over pictures: draw candidates, judge them, keep the best."""
