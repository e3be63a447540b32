"""Has the server beside this file run a command, and ends as that ended.

A script without `site`, as light as Python gets: it is what a shell starts as `imgtool`.
"""

import _socket
import marshal
import os
import signal
import sys

FOLDER, NAME = os.path.split(os.path.abspath(__file__))
REAL = os.path.join(os.path.dirname(sys.executable), NAME)
DIED = 70
# Read when Python starts or imports libraries, and so fixed in the server.
AT_START = ("PYTHON", "LANG", "LC_", "TZ", "OMP_", "MKL_", "OPENBLAS_", "CUDA_", "TORCH", "PYTORCH")


def main():
    if not is_served():
        os.execv(REAL, [REAL, *sys.argv[1:]])
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.connect(os.path.join(FOLDER, "socket"))
    ask(connection)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: connection.send(bytes([number])))
    # Pipes are closed when the command closes them, not when this process ends.
    os.closerange(0, 3)
    answer = connection.recv(4)
    status = int.from_bytes(answer, "big", signed=True) if answer else DIED
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def is_served():
    """Whether a fork of the server is what a new process would be."""
    if NAME == "python" and not is_known(sys.argv[1:]):
        return False
    for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if os.path.exists(os.path.join(folder, "sitecustomize.py")):
            return False
    with open(os.path.join(FOLDER, "environment"), "rb") as file:
        return marshal.load(file) == read_at_start(os.environ)


def is_known(arguments):
    """Whether these arguments of Python are a file, `-c TEXT` or `-m MODULE`, and what follows."""
    return bool(arguments) and (arguments[0][:1] != "-" or arguments[0] in ("-c", "-m"))


def read_at_start(environment):
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(AT_START) and name != "PYTHONPATH"
    }


def ask(connection):
    """Hand over the command line, the folder, the environment, and stdin, stdout and stderr."""
    command = sys.argv[1:] if NAME == "python" else [REAL, *sys.argv[1:]]
    request = marshal.dumps((command[0], command[1:], os.getcwd(), dict(os.environ)))
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
    connection.sendmsg(
        [len(request).to_bytes(8, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)]
    )
    connection.sendall(request)


if __name__ == "__main__":
    main()
