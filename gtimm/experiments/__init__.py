"""Experiments: methods by name, run over seeds, with intervals."""
