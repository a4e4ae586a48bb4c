"""What Python's audit hooks are told of that starts a process or reaches somebody."""

NOTED = ("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")
NOTED += ("pty.spawn", "socket.connect", "socket.getaddrinfo", "os.rename")
