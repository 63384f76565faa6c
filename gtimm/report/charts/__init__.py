"""Kinds of chart as scenes. No results here, only marks and labels; values are fractions."""
