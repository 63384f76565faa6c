"""Data sets of films: each clip gives a picture, its middle frame, and a sound; from the films, or from files prepared once."""
