"""`metanode doctor`: why the open height moves or does not, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metanode.cli.network import start_command, typed_command
from metanode.cli.options import DEFAULT_DIRECTORY, AsJson, Directory
from metanode.cli.output import print_json

if TYPE_CHECKING:
    from sdk.testnet.diagnosis.facts import NetworkFacts
    from sdk.testnet.diagnosis.findings import Diagnosis


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(doctor)


def doctor(
    url: Annotated[
        list[str] | None,
        typer.Argument(
            help="RPC addresses of nodes; without one the local network of --directory is examined."
        ),
    ] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    json: AsJson = False,
) -> None:
    """Say in a sentence why the chain moves or does not, who is missing, and what restores it; exit code 1 when there is something to do."""
    from sdk.testnet.deployment.apply.layout import NetworkDirectory  # noqa: PLC0415 - HTTP client and process table, for this command only
    from sdk.testnet.diagnosis.collect import collect_local, collect_urls  # noqa: PLC0415 - the same
    from sdk.testnet.diagnosis.diagnose import diagnose  # noqa: PLC0415 - the same

    if url:
        facts = collect_urls(url)
    else:
        where = NetworkDirectory(directory.resolve())
        facts = collect_local(where, command=typed_command(where), start=start_command(where))
    diagnosis = diagnose(facts)
    if json:
        print_json(_document(diagnosis, facts))
    else:
        _print(diagnosis)
    if not diagnosis.is_healthy:
        raise typer.Exit(1)


def _print(diagnosis: Diagnosis) -> None:
    """The sentence first, then every finding with what to do; one that the sentence holds whole is not said twice."""
    typer.echo(diagnosis.headline)
    for finding in diagnosis.findings:
        if finding.text not in diagnosis.headline:
            typer.echo(f"{finding.severity.value}: {finding.text}")
        if finding.action is not None:
            typer.echo(f"  to do: {finding.action}")


def _document(diagnosis: Diagnosis, facts: NetworkFacts) -> dict[str, Any]:
    return {
        "healthy": diagnosis.is_healthy,
        "moving": diagnosis.is_moving,
        "height": diagnosis.height,
        "headline": diagnosis.headline,
        "findings": [
            {**asdict(finding), "severity": finding.severity.value} for finding in diagnosis.findings
        ],
        "nodes": [
            {
                "name": node.name,
                "url": node.url,
                "trouble": None if node.trouble is None else node.trouble.value,
                "validator": None if node.consensus is None else node.consensus.validator,
                "mode": None if node.consensus is None else node.consensus.mode,
                "height": None if node.consensus is None else node.consensus.height,
                "round": None if node.consensus is None else node.consensus.round,
            }
            for node in facts.nodes
        ],
    }
