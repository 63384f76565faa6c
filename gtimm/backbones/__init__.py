"""Backbones: frozen encoders."""
