"""How the quantities of tests/golden/methods are computed with this package."""
