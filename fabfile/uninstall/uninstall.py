"""The task `uninstall`: it removes all that the project put on a server, and only that.

The server's own ledger, /var/lib/jupyterlab-fab/made, lists that.
"""

from __future__ import annotations

from invoke import Exit

from .. import hosts, jupyter
from ..engine import consent
from ..engine.actions import carry_out, meet
from ..engine.host import Host
from ..items import Change
from ..script import call
from ..settings import Settings
from ..ssh.errors import name_of
from ..ui import console
from ..ui.console import count, say
from .ledger import Inventory, Seen
from .selection import Leaving, plan


def uninstall(c, settings, purge, yes, dismiss, in_fleet=False):
    dry = c.config.run.dry
    if purge and not (yes or dry or console.may_ask()):
        raise Exit("--purge removes notebooks for good: without a terminal, confirm with --yes")
    leave(c, settings, purge, yes or dry, dismiss)
    if not in_fleet:
        hosts.take_out(c, settings)


def leave(c, settings: Settings, purge=False, sure=True, dismiss=None) -> None:
    """Remove all that the ledger of a host lists, and before that the workers of its cluster.

    :param sure: do not ask.
    """
    symbols = [Seen(project=settings.project), jupyter.kernels_of(settings)]
    host, (found, told) = meet(c, settings, symbols)
    if not found.ledger:
        say(f"{console.report(name_of(c)).where}nothing of this project is there")
    else:
        leaving = plan(found, settings, host, purge)
        tell(c, settings, host, found, leaving, purge)
        if not settings.archives.startswith(f"{settings.instance.backups}/"):
            say(f"  stays  {settings.archives}: backups, if any, with the login in them")
        asked = consent.agree(c, sure, told.get("kernels"))
        if purge and not sure:
            confirm(c)
        elif not asked and console.may_ask():
            consent.ask()
        if host.cluster and dismiss:
            dismiss(c, settings, host.cluster)
        carry_out(c, host, *changes(found, leaving, settings, host, purge))


def tell(
    c, settings: Settings, host: Host, found: Inventory, leaving: Leaving, purge: bool
) -> None:
    """Print what goes and what stays."""
    report = console.report(name_of(c))
    report.line(f"{report.where}{host.name}; files and packages of this project")
    for _, path in leaving.goes:
        if path in found.there and path not in leaving.stays:
            report.line(f"  goes   {path}")
    if leaving.remove:
        report.line(f"  goes   {count(len(leaving.remove), 'package')}: "
                    f"{', '.join(sorted(leaving.remove))}")  # fmt: skip
    for path in leaving.back:
        report.line(f"  back   {path}, as it was before")
    for what, why in leaving.stays.items():
        report.line(f"  stays  {what}: {why}")
    if settings.instance.locations in found.there:
        report.line(
            f"  stays  `{settings.instance.line}` in your site, where it has no effect any more"
        )
    if not purge:
        report.line(
            f"  stays  {settings.instance.backups}, if any, except former versions of our files"
        )


def confirm(c) -> None:
    """Ask for the host's name, because notebooks cannot be recovered."""
    name = c.original_host
    if input(f"This removes the notebooks, too. Type {name} to go on: ").strip() != name:
        raise Exit("nothing was removed")


def changes(
    found: Inventory, leaving: Leaving, settings: Settings, host: Host, purge: bool
) -> list[Change]:
    """Return the steps in order; the ledger goes last, so that a cut-off run can be repeated."""
    jail = settings.instance.jail in found.values("path") or settings.instance.jail in found.there
    lift = jail and "fail2ban" not in leaving.remove
    steps = [
        (f"stop {', '.join(leaving.units)}", [call("stop_units", *leaving.units)], leaving.units),
        (f"hand shared ledger entries over to {leaving.heir}",
         [call("hand_on", leaving.heir, text="\n".join(leaving.handed))], leaving.handed),
        ("delete its certificate from certbot", [call("delete_lineage")],
         settings.instance.hook in found.there),
        (f"remove {count(sum(p in found.there for _, p in leaving.goes), 'path')}",
         [taking(leaving.goes)], leaving.goes),
        ("put back former files and permissions",
         [call("give_back", *leaving.back), *(call("give_rights", *r) for r in leaving.rights)],
         leaving.back or leaving.rights),
        ("reload the remaining services",
         [call("reload_others"), call("lift_bans") * lift,
          *(call("give_unit", *unit) for unit in leaving.states)], True),
        (f"remove {count(len(leaving.remove), 'package')}",
         [call("remove_packages", *leaving.remove)], leaving.remove),
        ("purge the removed packages", [call("purge_packages", *leaving.purge)], leaving.purge),
        ("clear apt's downloads",
         [call("clear_index")] * leaving.index
         + [call("clear_downloads", *leaving.downloads), taking(leaving.late)],
         leaving.downloads or leaving.late or leaving.index),
        ("remove the backups" if purge else "remove former versions of our files",
         [call("take_away", text=f"tree {settings.instance.backups}")] if purge
         else ["clear_backups"], True),
        ("remove the ledger", [call("close_ledger")], True),
    ]  # fmt: skip
    wanted = [(what, calls) for what, calls, needed in steps if needed]
    return [Change(what, "\n".join(filter(None, calls))) for what, calls in wanted]


def taking(paths: list[tuple[str, str]]) -> str:
    """Return the call that removes these paths; "" for none."""
    text = "\n".join(f"{kind} {path}" for kind, path in paths)
    return call("take_away", text=text) if paths else ""
