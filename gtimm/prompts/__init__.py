"""Prompt strategies: what a generator is asked for."""
