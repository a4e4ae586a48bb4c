"""What a run that went well has in common with others."""

from subprocess import CompletedProcess


def well(done: CompletedProcess[str]) -> str:
    """Assert that fab succeeded, and give what it printed."""
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def nothing_to_change(done: CompletedProcess[str]) -> None:
    """Assert that fab succeeded and found all as wanted."""
    assert "nothing to change" in well(done), done.stdout
