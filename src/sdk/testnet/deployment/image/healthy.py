"""Health check of a container: `python -IS healthy.py PORT PATH` ends with 0 when 127.0.0.1 answers 200 there, else it says why.

By the socket alone: it runs every few seconds in every container, and importing an HTTP client would cost more than the question.
"""

import socket
import sys

TIMEOUT_S = 4.0


def main() -> int:
    """Ask once; 0 when the answer is 200."""
    port, path = int(sys.argv[1]), sys.argv[2]
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answer = b""
            while len(answer) < 4096 and (part := connection.recv(4096)):
                answer += part
    except OSError as error:
        sys.stdout.write(f"port {port}: {error}\n")
        return 1
    status, _, rest = answer.partition(b"\r\n")
    if status.split(b" ")[1:2] == [b"200"]:
        return 0
    reason = rest.partition(b"\r\n\r\n")[2].decode(errors="replace").strip()
    sys.stdout.write(f"{status.decode(errors='replace')} {reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
