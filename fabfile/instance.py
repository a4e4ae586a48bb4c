"""What one JupyterLab on a server is called, and where all that is named after it stands.

Several people may have one each on the same server: `lab.name: anna` is `jupyterlab-anna` there.
"""

from dataclasses import dataclass

FIRST = "jupyterlab"  # what the only one is called
# Words that are parts of other names of ours: the unit jupyterlab-backup is not somebody's.
TAKEN = "acme|backup|certificate|doctor|fab|login|scheduler|tls|worker"
NICKNAME = rf"(?!({FIRST}-)?({TAKEN})(-|\Z))(?!.*-\Z)({FIRST}-)?[a-z][a-z0-9-]{{0,23}}"


@dataclass(frozen=True)
class Instance:
    """One of them. :param name: as lab.name has it."""

    name: str = FIRST

    @property
    def called(self) -> str:
        """The name of its unit, its site, its folders."""
        plain = self.name == FIRST or self.name.startswith(f"{FIRST}-")
        return self.name if plain else f"{FIRST}-{self.name}"

    @property
    def variable(self) -> str:
        """The same, where no hyphen may be: in the names of Nginx's variables."""
        return self.called.replace("-", "_")
