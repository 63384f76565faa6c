"""Reports of a run folder: one self-contained `report.html`, and figures as SVG and PNG."""

from gtimm.report.figures import summary_figure
from gtimm.report.page import write_report

__all__ = ["summary_figure", "write_report"]
