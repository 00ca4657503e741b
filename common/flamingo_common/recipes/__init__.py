"""Recipes: named questions about a clip, with the form of their answer."""
