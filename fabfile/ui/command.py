"""The command that the operator types: `fab` in this folder, `jupyterlab-fab` if installed."""

FAB = "fab" if __name__.startswith("fabfile.") else "jupyterlab-fab"
