"""The pure layers take hashes and encodings from the compiled engine, and nothing else of it (ADR 22)."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "metanode"
PURE_LAYERS = ("primitives", "crypto", "chain", "consensus")
PURE_FUNCTIONS = {
    "primitives/rlp.py": {
        "RLP_DEPTH_MAX",
        "RLP_ITEMS_MAX",
        "RlpReader",
        "rlp_decode",
        "rlp_encode",
        "rlp_integer",
        "rlp_item_span",
        "rlp_list_of_encoded",
        "rlp_parse_integer",
    },
    "crypto/hashing.py": {"keccak256"},
    "chain/trie.py": {"ordered_root", "trie_root"},
}
"""What each module of a pure layer may import; modules that are not here import nothing of the engine."""


def names_of_the_engine(file: Path) -> set[str]:
    """Return what a module imports of `metanode._engine`; the module itself is `*`."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            if node.module == "metanode._engine":
                found |= names
            elif node.module == "metanode" and "_engine" in names:
                found.add("*")
        elif isinstance(node, ast.Import) and any(
            alias.name.startswith("metanode._engine") for alias in node.names
        ):
            found.add("*")
    return found


def test_pure_layers_import_pure_functions_only() -> None:
    found = {
        f"{layer}/{file.relative_to(SOURCE / layer)}": names
        for layer in PURE_LAYERS
        for file in (SOURCE / layer).rglob("*.py")
        if (names := names_of_the_engine(file))
    }
    assert found == PURE_FUNCTIONS
