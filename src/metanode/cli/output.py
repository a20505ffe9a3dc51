"""How commands speak: the same as those of the toolkit, which stands below."""

from sdk.testnet.command.output import (
    print_error,
    print_json,
    print_line,
    print_progress,
    print_services,
    print_table,
    print_warning,
    run_program,
)

__all__ = [
    "print_error",
    "print_json",
    "print_line",
    "print_progress",
    "print_services",
    "print_table",
    "print_warning",
    "run_program",
]
