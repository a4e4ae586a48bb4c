"""The day in which tests/integration/test_docs.py types the commands of the documents."""

FAB = "fab -H david@1.1.1.1"
ASKS = f"{FAB} password"  # types a password
PARTLY = "fab fleet full --on a,b,c"  # c is not there yet

# What is typed, in this order; a command that leaves what the next ones need stands before them.
DAY = [
    f".venv/bin/{FAB} full",
    ". .venv/bin/activate",
    'eval "$(fab --print-completion-script bash)"',
    "fab --list",
    "fab --help upgrade",
    "fab check",
    "fab --dry -H david@1.1.1.1 full",
    f"{FAB} full",
    f"{FAB} script",
    *(f"{FAB} {step}" for step in (
        "deps", "jupyter", "systemd", "tls", "nginx", "fail2ban", "schedule", "kernels",
        "kernels --list", "hosts", "doctor", "verify", "status", "status --json", "status --drift",
        "status --drift --json", "full --json", "audit", "open", "token",
    )),
    f"{FAB} open --tunnel",
    "LAB_PASSWORD='correct horse' fab -H david@1.1.1.1 full",
    ASKS,
    "LAB_PASSWORD='battery staple' fab -H david@1.1.1.1 password",
    f"{FAB} token --rotate",
    "FABRIC_LAB_USER=david fab -H root@1.1.1.1 full",
    "FABRIC_LAB_DOMAIN=lab.example.org fab --dry -H david@1.1.1.1 full",
    "FABRIC_LAB_TLS=self-signed fab -H david@1.1.1.1 full",
    "FABRIC_LAB_TLS=self-signed fab -H david@1.1.1.1 tls --status",
    "FABRIC_LAB_TLS=self-signed fab -H david@1.1.1.1 tls --new-ca",
    f"{FAB} tls --status",
    f"{FAB} stop",
    f"{FAB} start",
    f"{FAB} restart",
    PARTLY,
    "fab fleet full --retry-failed",
    "fab fleet status --on a,b,c --drift",
    "fab fleet 'status --json' --on a,b,c",
    f"{FAB} packages --add numpy",
    f"{FAB} packages --add numpy pandas",
    f'{FAB} packages --add "numpy pandas>=2"',
    "fab fleet 'packages --add numpy' --on 'web*'",
    f"{FAB} packages --remove pandas",
    f"{FAB} packages --list",
    f"{FAB} upgrade --lock",
    f"{FAB} upgrade",
    "fab fleet upgrade --on a,b,c",
    f"{FAB} rollback",
    f"{FAB} jupyter --anew",
    f"{FAB} logs",
    f"{FAB} logs --since '1 hour ago'",
    f"{FAB} logs --jupyter",
    f"{FAB} logs --follow",
    f"{FAB} backup",
    'tar --zstd -xf "$(ls -t backups/1.1.1.1/*.tar.zst | head -n 1)" project lock.txt',
    f"{FAB} backup --there",
    f"{FAB} backup --list",
    f"{FAB} backup --list --json",
    f"{FAB} restore latest",
    "fab --dry -H david@1.1.1.1 uninstall",
    f"{FAB} uninstall",
]  # fmt: skip

# What is typed nowhere here, and where it is run instead.
RUN_ELSEWHERE = {
    **dict.fromkeys(
        [
            f"{FAB} cluster",
            *(
                f"{FAB} cluster {option}"
                for option in (
                    "--workers david@w1,david@w2",
                    "--add david@w3",
                    "--status",
                    "--remove david@w3",
                )
            ),
        ],
        "it takes four hosts: test_cluster.py",
    ),
    f"FABRIC_LAB_TLS=auto {FAB} tls --decide": "beside an ACME server: test_address_acme.py",
    "fab init": "on a terminal: test_package.py",
    f"{FAB} packages --add matplotlib": "as --add numpy is",
    f"{FAB} init --domain lab.example.org": "test_package.py",
    **dict.fromkeys(["pipx install .", "jupyterlab-fab init"], "test_package.py"),
    "./bootstrap": "how every run of this suite begins (.ci/run)",
    "./bootstrap test": "a part of this very suite (.ci/run)",
    "./bootstrap test --all": "this very suite",
    "./bootstrap test --matrix": "half an hour: eight of its points are in test_interrupted.py",
    "./bootstrap demo": "test_the_demo_shows_a_server_and_takes_it_away, below",
    "./bootstrap demo --down": "the same",
    **dict.fromkeys(
        (
            "fab -H anna@1.1.1.1 full",
            "fab -H anna@1.1.1.1 status",
            "fab fleet full --on class",
            "fab fleet token --on class",
            "fab fleet status --on class",
            "fab fleet restart --on ben/root@1.1.1.1",
            "fab fleet full --on class --limit carl",
        ),
        "by several people on one server: test_several.py",
    ),
    "invoke docs": "what it writes is in tests/unit/test_reference.py",
    "sudo .venv/bin/invoke bench": "half an hour: its parts are in tests/unit/test_bench.py",
    "invoke bench --runs 3 --only start-up,no-op": "five minutes, with nothing else to do",
    "sudo .venv/bin/invoke bench --only init --no-peers": "three minutes of its own",
    "sudo .venv/bin/invoke bench --pages": "ten minutes, on a machine with nothing else to do",
    "sudo .venv/bin/invoke bench --sizing": "as long, on such a one",
    "sudo .venv/bin/invoke bench --cluster": "the same; answers, not seconds: test_cluster.py",
    "for n in 1 2 3 4 5 6 7 8 9; do": "a measurement: test_idle.py wakes one that sleeps",
}
