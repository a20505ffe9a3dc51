"""Why a network moves or does not: facts are collected (`collect`), read (`reading`), and judged by a pure function (`diagnose`)."""
