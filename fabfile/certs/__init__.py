"""Certificates and their issuers."""
