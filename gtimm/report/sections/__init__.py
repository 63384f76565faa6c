"""The parts of the page, each made from the results alone, or absent where they have nothing for it."""
