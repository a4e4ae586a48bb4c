"""The command `jupyterlab-fab`: Fabric's program with these tasks, from an installed package."""

import os

from fabric import Config, Executor
from fabric import __version__ as fabric
from fabric.main import Fab

from . import ns
from .version import __version__

NAME = "jupyterlab-fab"


class Program(Fab):
    """Fab with these tasks; its project is the folder where the operator stands."""

    def parse_collection(self):
        """Take the tasks of the package, and read the settings, which Invoke leaves out then."""
        super().parse_collection()
        self.config.set_project_location(os.getcwd())
        self.config.load_project()

    def print_version(self):
        """Print the version of this tool, and what it deploys."""
        from .python.minimum_versions import SERVER, floors
        from .settings.schema import Settings

        deployed = ", ".join([*Settings().packages, floors()[SERVER][0]])
        print(f"{NAME} {__version__}, with Fabric {fabric}")
        print(f"deploys {deployed} (the newest releases that fit) behind Nginx on Debian 12 or 13")


def main() -> None:
    """Run the command line."""
    Program(
        name=NAME,
        binary=NAME,
        binary_names=[NAME],
        version=__version__,
        namespace=ns,
        executor_class=Executor,
        config_class=Config,
    ).run()
