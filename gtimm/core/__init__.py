"""Interfaces and machinery. Imports nothing of gtimm outside this package."""
