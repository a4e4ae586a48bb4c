"""The operator of the tests on servers."""

from pathlib import Path

from servers import Operator

from testbed.host import keypair


def test_nothing_that_fab_wrote_lasts_beyond_a_module(tmp_path):
    operator = Operator(tmp_path, *keypair(tmp_path))
    (tmp_path / "known").touch()
    operator.start_over()
    before = files(tmp_path)
    ca = tmp_path / ".config" / "jupyterlab-fab" / "ca" / "ca.pem"
    ca.parent.mkdir(parents=True)
    for path in (ca, tmp_path / "known_hosts", tmp_path / "hosts"):
        path.write_text("192.0.2.1 lab.example.org\n")
    operator.start_over()
    assert files(tmp_path) == before


def files(folder: Path) -> dict[str, bytes]:
    """Return each file in a folder, and what it holds."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
