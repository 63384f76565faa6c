"""Reports of a run folder: one self-contained `report.html`, figures as SVG and PDF, tables as LaTeX, Markdown and CSV."""

from gtimm.report.page import write_report
from gtimm.report.summary import summary_figure

__all__ = ["summary_figure", "write_report"]
