"""Both strategies keep every promise of gtimm's conformance kit."""

from gtimm_example.colour_histogram import ColourHistogram
from gtimm_example.gaussian import GaussianFill

from gtimm.testing import parametrize_with_checks


@parametrize_with_checks([GaussianFill(), GaussianFill(draws=1, seed=3), ColourHistogram(bins=8)])
def test_promises(strategy, check):
    check(strategy)
