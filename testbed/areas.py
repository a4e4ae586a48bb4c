"""The areas of the product: each test on servers has one of them as its pytest marker."""

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
