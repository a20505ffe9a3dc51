"""Health check of a container: `python -IS healthy.py PORT PATH [PORT PATH ...]` ends with 0 when 127.0.0.1 answers 200 to all, else it says why.

By the socket alone: it runs every few seconds in every container, and importing an HTTP client would cost more than the question.
"""

import socket
import sys
import threading
import time

TIMEOUT_S = 4.0
"""Of each question, and so of all, which are asked at once: Compose waits for five seconds."""


def main() -> int:
    """Ask each once; 0 when every answer is 200."""
    questions = list(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    problems = [f"port {port}: no answer" for port, _ in questions]

    def look(place: int) -> None:
        port, path = questions[place]
        problems[place] = ask(int(port), path, TIMEOUT_S)

    # What comes byte by byte may take longer than its time, and is not waited for.
    threads = [threading.Thread(target=look, args=(place,), daemon=True) for place in range(len(questions))]
    for thread in threads:
        thread.start()
    deadline_s = time.monotonic() + TIMEOUT_S + 0.5
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    problems = [problem for problem in problems if problem]
    sys.stdout.write("".join(f"{problem}\n" for problem in problems))
    return 1 if problems or not questions else 0


def ask(port: int, path: str, timeout_s: float) -> str:
    """Why a port does not answer 200; nothing when it does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answer = b""
            while len(answer) < 4096 and (part := connection.recv(4096)):
                answer += part
    except OSError as error:
        return f"port {port}: {error}"
    status, _, rest = answer.partition(b"\r\n")
    if status.split(b" ")[1:2] == [b"200"]:
        return ""
    reason = rest.partition(b"\r\n\r\n")[2].decode(errors="replace").strip()
    return f"{status.decode(errors='replace')} {reason}"


if __name__ == "__main__":
    sys.exit(main())
