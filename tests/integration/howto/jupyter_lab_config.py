c = get_config()  # noqa: F821

c.ServerApp.allow_remote_access = True
c.ServerApp.open_browser = False
