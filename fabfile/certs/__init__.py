"""Certificates and who issues them."""
