"""Recipes and the templates in them."""
