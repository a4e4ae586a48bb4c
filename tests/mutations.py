"""Prove that the tests notice a broken product: each fault in a table makes one of them fail.

A fault is put into a copy of the project, where pytest runs only that test. The fault is caught
when this test fails, not when nothing can be collected, and not when another one fails before it.

    python tests/mutations.py [WORD...]  try all faults, or those with such a word in their names
        --list       only show them, each with the test that catches it
        --default    only those that the default run catches
        --unmutated  run the same tests on copies without a fault: all must pass
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
USUAL = "core or not integration"  # what `./bootstrap test` chooses
MINUTES = 15  # for one test, including its servers


@dataclass(frozen=True)
class Mutation:
    """One fault, and the test that catches it.

    :param name: what a user would notice.
    :param old: a text that the file contains exactly once.
    :param test: its id without parameters.
    :param words: which parameters, as in pytest -k; others would take long.
    """

    name: str
    file: str
    old: str
    new: str
    test: str
    words: str = ""

    def faulty(self) -> str:
        """Return the text of the file with the fault.

        :raises ValueError: when the file does not contain the old text exactly once.
        """
        text = (ROOT / self.file).read_text()
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: {self.file} contains this {count} times: {self.old!r}")
        return text.replace(self.old, self.new)


REAL, UNIT = "tests/integration", "tests/unit"
# Caught by the default run: first the faults that only tests on servers see, then the others.
DEFAULT = (
    Mutation("Enter accepts the key of an unknown server", "fabfile/ssh/host_keys.py",
        '.lower() != "yes":', '.lower() not in ("yes", ""):',
        f"{REAL}/test_refused.py::test_at_a_terminal_anything_but_yes_is_no"),
    Mutation("a server with a changed host key counts as a new one", "fabfile/ssh/host_keys.py",
        '(Path("/etc/ssh/ssh_known_hosts"), known_hosts):', '(Path("/etc/ssh/ssh_known_hosts"),):',
        f"{REAL}/test_refused.py::test_a_changed_host_key"),
    Mutation("hosts --remove leaves the line", "fabfile/hosts.py",
        "update(load(c.config), None, c.config.run.dry)", "update(load(c.config), None, dry=True)",
        f"{REAL}/test_steps.py::test_hosts_adds_the_line_and_takes_it_out_again_byte_by_byte"),
    Mutation("status --drift exits with 0 when something differs", "fabfile/status/status.py",
        'full makes {number}", 2)', 'full makes {number}", 0)',
        f"{REAL}/test_drift.py::test_drift_against_other_settings_is_drift_too"),
    Mutation("a guesser of passwords is never banned", "templates/files/fail2ban/jail.conf.j2",
        "maxretry  = 20\n", "maxretry  = 2000\n",
        f"{REAL}/test_guesses.py::test_a_guesser_is_banned_and_others_are_not"),
    Mutation("an IPv6 client has one limit per address", "templates/files/nginx/http.conf.j2",
        '.{8}$" $jupyterlab_network;', '.{8}$" $binary_remote_addr;',
        f"{REAL}/test_guesses.py::test_the_addresses_of_one_network_share_a_limit"),
    Mutation("full prints the token although there is a password", "fabfile/manage/login.py",
        "log in with the password; with the token: {fab} token",
        "log in with the password, or {settings.url}/lab?token={token.value(secret)}",
        f"{REAL}/test_login.py::test_full_does_not_print_the_token_once_there_is_a_password"),
    Mutation("JupyterLab is not restarted for a new password", "fabfile/systemd.py",
        "host.under(jupyter.CONFIG), token, *jupyter", "host.under(jupyter.CONFIG), *jupyter",
        f"{REAL}/test_login.py::test_a_new_password_logs_out_who_came_with_the_old_one"),
    Mutation("any user of the server can block runs", "templates/shell/lib/apply.sh",
        '(umask 077; : >>"$lock")', ': >>"$lock"',
        f"{REAL}/test_turns.py::test_who_is_not_root_cannot_hold_the_lock"),
    Mutation("a reload of Nginx that failed counts", "templates/shell/lib/services.sh",
        "    if reload_well; then\n", "    if reload_well || true; then\n",
        f"{UNIT}/test_shell_nginx.py::test_what_nginx_cannot_read_is_put_back_with_the_reason"),
    Mutation("our site does not answer at the address of another one",
        "fabfile/engine/listening.py", "if not one.entire)", "if not one)",
        f"{UNIT}/test_listening.py::test_our_site_listens_where_others_leave_room"),
    Mutation("without IPv6 the package of Nginx fails", "templates/shell/lib/packages.sh",
        'can_ipv6 || hold_welcome "$@"', ":",
        f"{UNIT}/test_shell_nginx.py::test_nginx_is_installed_without_the_welcome_page"),
    Mutation("the Content-Security-Policy blocks plots", "fabfile/nginx.py",
        '''"img-src": f"'self' data: blob''', '''"img-src": f"'self' blob''',
        "tests/browser/test_day.py::test_a_plot_is_seen"),

    Mutation("two runs change a server at once", "templates/shell/lib/apply.sh",
        "if ! flock -n 9; then", "if false; then",
        f"{UNIT}/test_shell_steps.py::test_a_run_that_comes_in_between_waits_and_reads_again"),
    Mutation("newer files do not restart the service", "fabfile/items/services.py",
        "if seconds > began", "if seconds < began",
        f"{UNIT}/test_items.py::test_a_service_runs_with_what_is_on_disk"),
    Mutation("a certificate is renewed only when it has expired", "fabfile/items/certificate.py",
        "datetime.now(UTC) + min(DUE, (end - begin) / 3)", "datetime.now(UTC)",
        f"{UNIT}/test_diagnosis.py::test_a_certificate_is_judged_by_both_clocks"),
    Mutation("a private CA for an address signs for any name", "fabfile/certs/private_ca.py",
        "rest = [] if named else [NO_NAME]", "rest = []",
        f"{UNIT}/test_ca_names.py::test_and_nothing_else"),
    Mutation("the site of an address takes the port of another HTTPS site", "fabfile/nginx.py",
        "unshared.append(never_first(settings, host))", "pass",
        f"{UNIT}/test_numeric.py::test_beside_another_https_site_it_is_refused_with_another_port"),
    Mutation("a renewal that fails is told when the certificate has expired",
        "fabfile/items/certificate.py", " + first - min(TRIES, life / 8)", "",
        f"{UNIT}/test_renewal.py::test_each_kind_is_told_two_days_before_it_ends_and_not_while_it_is_new"),
    Mutation("a certificate is renewed by port 80 though the settings say by DNS",
        "templates/shell/lib/services.sh", ' || ! grep -qxF "authenticator = $5" "$settings"', "",
        f"{UNIT}/test_dns_proof.py::test_another_way_or_server_replaces_a_valid_certificate"),
    Mutation("`tls: auto` decides again in each run", "fabfile/certs/auto.py",
        '"" if anew else kept(', '"" and kept(',
        f"{UNIT}/test_auto.py::test_what_the_site_has_is_kept_whatever_is_seen"),
    Mutation("where Let's Encrypt refuses, `auto` leaves the site without HTTPS", "fabfile/tls.py",
        "if settings.auto is None or item", "if settings.auto is not None or item",
        f"{UNIT}/test_auto.py::test_where_the_acme_server_fails_auto_has_the_private_ca_instead"),
    Mutation("the page of the private CA is there without such a CA", "fabfile/nginx.py",
        'settings.instance.ca_page if settings.tls == "self-signed" else ""',
        "settings.instance.ca_page",
        f"{UNIT}/test_ca_page.py::test_no_other_mode_has_it"),
    Mutation("a backup lacks the keys of certificates", "templates/files/backup/backup.sh",
        r"\( -name '*.pem' -o -name '*.key' \)", "-name '*.pem'",
        f"{UNIT}/test_backup_shell.py::test_a_backup_is_a_plain_tar_with_plain_names"),
    Mutation("Nginx writes tokens into its error log", "templates/files/nginx/proxy.conf.j2",
        "error_log /dev/null emerg;", "error_log /var/log/nginx/error.log;",
        f"{UNIT}/test_render.py::test_a_query_reaches_no_log"),
    Mutation("browsers guess the type of a file", "templates/files/nginx/security_headers.conf.j2",
        "    add_header X-Content-Type-Options nosniff always;\n", "",
        f"{UNIT}/test_render.py::test_the_headers_that_browsers_heed"),
    Mutation("a kernel takes all the memory of the server",
        "templates/files/systemd/jupyterlab.service.j2",
        "MemoryMax={{ settings.memory_limit }}\n", "",
        f"{UNIT}/test_render.py::test_the_limits_are_the_chosen_ones"),
    Mutation("other users can read the token", "templates/shell/lib/files.sh",
        '''printf %s "$token" | put_file "$1" "$2" "$3" 0600''',
        '''printf %s "$token" | put_file "$1" "$2" "$3" 0644''',
        f"{UNIT}/test_shell_files.py::test_a_token_is_long_fresh_and_private"),
    Mutation("a traceback shows the password", "fabfile/settings/credentials.py",
        'return "***"', "return self._text",
        f"{UNIT}/test_credentials.py::test_a_secret_is_never_shown"),
    Mutation("a documented command does not exist", "fabfile/catalogue.py",
        "upgrade, rollback,", "upgrade,",
        f"{UNIT}/test_readme.py::test_a_command_of_the_documents_is_there"),
)  # fmt: skip
# Caught by tests of an area on servers, which `./bootstrap test --all` runs.
BEYOND = (
    Mutation("by HTTPS an address answers to other names", "templates/files/nginx/site.conf.j2",
        "    if (${{ jl }}_elsewhere) {\n        return 444;\n    }\n", "",
        f"{REAL}/test_address.py::test_other_names_and_none_get_no_answer"),
    Mutation("Nginx serves the old certificate", "templates/files/certs/renewal-hook.sh",
        "exec systemctl reload nginx", "exit 0",
        f"{REAL}/test_tls.py::test_a_renewal_is_served"),
    Mutation("a tunnel listens on all addresses", "fabfile/ssh/tunnel.py",
        'create_server(("127.0.0.1", port))', 'create_server(("", port))',
        f"{REAL}/test_tunnel.py::"
        "test_only_this_machine_reaches_the_port_and_one_that_is_taken_is_told"),
    Mutation("the audit accepts a server without a memory limit",
        "templates/shell/run/audit.sh",
        'told memory open "no limit', 'told memory closed "no limit',
        f"{REAL}/test_audit.py::test_what_somebody_has_opened_is_named", "memory"),
    Mutation("a symbolic link shows what Nginx can read", "templates/files/nginx/assets.conf.j2",
        "        disable_symlinks on from={{ assets }};\n", "",
        f"{REAL}/test_pages.py::test_a_link_leads_nowhere"),
    Mutation("rollback reports success and changes nothing", "templates/shell/lib/upgrade.sh",
        'shift 2\n    exchange_venvs "$account" "$project"\n', "shift 2\n",
        f"{REAL}/test_upgrade.py::test_the_way_back_takes_seconds_and_refuses_a_hole"),
    Mutation("a dry run shows a token that was written by hand", "fabfile/ui/console.py",
        "{SECRETS.sub(MASKED, row[:WIDE])}", "{row[:WIDE]}",
        f"{REAL}/test_seen_first.py::test_a_dry_run_masks_secrets_in_what_was_edited_by_hand"),
    Mutation("doctor does not name a line that Nginx rejects", "templates/shell/run/doctor.sh",
        "words nginx -t\n", "", f"{REAL}/test_doctor.py::test_a_configuration_that_nginx_rejects"),
    Mutation("a second user takes over the first one's name", "fabfile/engine/converge.py",
        "    refuse_taken(seen.host, chosen)\n", "",
        f"{REAL}/test_several.py::test_the_first_ones_name_is_refused_to_the_second"),
    Mutation("a fleet ignores --jobs and runs on all hosts at once", "fabfile/fleet/parallel.py",
        "ThreadPoolExecutor(jobs)", "ThreadPoolExecutor(256)",
        f"{REAL}/test_fleet.py::test_jobs_bounds_how_many_run_at_once"),
    Mutation("a removed worker is still in the cluster", "fabfile/cluster/leave.py",
        "    parallel.all_of(there, lambda other: leave(other, settings))\n", "",
        f"{REAL}/test_cluster.py::"
        "test_what_a_removed_worker_held_is_not_lost_and_it_is_as_bare_as_before"),
    Mutation("a notebook plays no sound", "fabfile/nginx.py",
        '''"media-src": f"'self' data: blob''', '''"media-src": f"'self' blob''',
        "tests/browser/test_shown.py::test_a_notebook_shows", "audio"),
    Mutation("full leaves out a step that the README shows", "fabfile/nginx.py",
        "        Welcome(path=WELCOME, **GONE),\n", "",
        f"{REAL}/test_docs.py::test_the_output_in_the_readme_is_that_of_a_bare_server"),
)  # fmt: skip


def copied(folder: Path, mutation: Mutation | None) -> Path:
    """Copy the project's files, put the fault into the copy, and return its folder."""
    place = folder / "project"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place / name, follow_symlinks=False)
    folder.chmod(0o755)  # as in a checkout, where other users can read the files
    if mutation:
        (place / mutation.file).write_text(mutation.faulty())
    return place


def pytest(folder: Path, *words: str) -> tuple[int | None, str]:
    """Run pytest in a folder; return its exit code, None when it took too long, and its output."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen([*command, "--debian", "bookworm"], cwd=folder, **streams) as running:
        try:
            out, _ = running.communicate(timeout=MINUTES * 60)
            return running.returncode, out
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGINT)  # pytest then removes its servers
            return None, running.communicate()[0]


def tried(mutation: Mutation, sound: bool) -> tuple[bool, str]:
    """Run the test of a fault; return whether the result is right, and the result.

    :param sound: leave the fault out.
    """
    with TemporaryDirectory(prefix="mutation-") as name:
        place = copied(Path(name), None if sound else mutation)
        code, out = pytest(place, "-x", mutation.test, "-k", mutation.words)
    seen = re.search(rf"^(FAILED|ERROR) {re.escape(mutation.test)}\b", out, re.MULTILINE)
    if (code == 0 and " passed" in out) if sound else (code == 1 and seen):
        return True, "passed" if sound else seen[1].lower()
    print(out)
    return False, "NO: late" if code is None else f"NO: exit {code}"


def refuse_wrong(table: list[Mutation]) -> None:
    """Exit when an old text is not there exactly once, or a test is in the wrong table."""
    for one in table:
        try:
            one.faulty()
        except ValueError as problem:
            sys.exit(str(problem))
    files = {one.test.partition("::")[0] for one in table}
    code, out = pytest(ROOT, "--collect-only", "-m", USUAL, *sorted(files))
    usual = {line.partition("[")[0] for line in out.splitlines()}
    for one in table:
        if (one.test in usual) != (one in DEFAULT) or code not in (0, 5):  # 5: no tests collected
            sys.exit(f"{out}\n{one.name}: {one.test} is in the wrong table, or not collected")


def main() -> None:
    """Try the chosen faults one after the other."""
    parser = argparse.ArgumentParser(description="Prove that the tests notice a broken product.")
    parser.add_argument("words", nargs="*", help="only faults whose names contain one of these")
    parser.add_argument("--list", action="store_true", help="only list the faults")
    parser.add_argument("--default", action="store_true", help="only faults of the default run")
    parser.add_argument("--unmutated", action="store_true", help="without faults: all must pass")
    asked = parser.parse_args()
    table = [one for one in (DEFAULT if asked.default else DEFAULT + BEYOND)
             if any(word.lower() in one.name.lower() for word in asked.words or [""])]  # fmt: skip
    if not table:
        sys.exit("no fault has such a name; --list shows all")
    if not asked.list:
        refuse_wrong(table)
    rows, caught = [], []
    for one in table:
        began = time.monotonic()
        well, told = (False, "") if asked.list else tried(one, asked.unmutated)
        caught += [one] if well else []
        spent = "" if asked.list else f"{told:<10} {time.monotonic() - began:4.0f} s  "
        run = "default" if one in DEFAULT else "all"
        rows.append(f"{spent}{one.name:<{max(len(m.name) for m in table)}}  {run:<8} {one.test}")
        print(rows[-1], flush=True)
    if not asked.list:
        usual, word = sum(one in DEFAULT for one in caught), "passed" * asked.unmutated or "caught"
        print("", *rows, "", sep="\n")
        print(f"{len(caught)} of {len(table)} {word}, {usual} of them by the default run")
        sys.exit(len(caught) < len(table))


if __name__ == "__main__":
    main()
