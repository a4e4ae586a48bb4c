"""The parts of the product by which tests on servers are told apart; each is a marker of pytest."""

AREAS = (
    "https",
    "network",
    "security",
    "sites",
    "lifecycle",
    "diagnosis",
    "several",
    "cluster",
    "browser",
    "docs",
)
